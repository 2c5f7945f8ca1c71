import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.asv.tracking import trackable, tracked_unit
from ics_bench.core import Metric

ACCURACY = Metric("accuracy", "1", "higher", "seeded")
LOSS = Metric("loss", "nat", "lower", "seeded")


@given(st.lists(st.floats(0.001, 1e6), min_size=1), st.floats(1.1, 1e3))
def test_a_better_value_is_tracked_as_a_lower_one(values, factor):
    more = [value * factor for value in values]
    assert trackable(ACCURACY, more) < trackable(ACCURACY, values)
    assert trackable(LOSS, more) > trackable(LOSS, values)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9), st.randoms())
def test_the_order_of_the_seeds_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    assert trackable(LOSS, shuffled) == trackable(LOSS, values)


@given(st.lists(st.floats(), min_size=1))
def test_what_is_tracked_is_finite_and_not_negative(values):
    try:
        tracked = trackable(LOSS, values)
    except ValueError:
        return
    assert math.isfinite(tracked)
    assert tracked >= 0


@pytest.mark.parametrize("values", [[math.nan], [math.nan, 1.0, 2.0], [math.inf], [-1.0], []])
def test_what_asv_cannot_hold_raises(values):
    with pytest.raises(ValueError, match="loss"):
        trackable(LOSS, values)


def test_a_declared_ceiling_stands_in_for_infinity():
    steps = Metric("steps", "step", "lower", "seeded", asv_ceiling=1000.0)
    assert trackable(steps, [10.0, math.inf, math.inf]) == 1000.0
    assert trackable(steps, [10.0, 20.0, math.inf]) == 20.0


def test_units_of_reciprocals_say_so():
    assert tracked_unit(LOSS) == "nat"
    assert tracked_unit(ACCURACY) == "1/accuracy"
    assert tracked_unit(Metric("bandwidth", "GB/s", "higher", "timing")) == "1/(GB/s)"
