from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import Metric

positive = st.floats(1e-100, 1e100)


@given(positive, positive)
def test_asv_sees_the_better_value_as_the_lower_one(one, other):
    higher = Metric("accuracy", "1", "higher", "seeded")
    if one > other:
        assert higher.as_lower_is_better(one) <= higher.as_lower_is_better(other)
    assert Metric("error", "1", "lower", "seeded").as_lower_is_better(one) == one


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("better", ["lower", "higher", "neutral"])
def test_what_asv_cannot_hold_fails_instead_of_vanishing(value, better):
    metric = Metric("m", "1", better, "seeded")
    if better == "higher" and value == math.inf:
        assert metric.as_lower_is_better(value) == 0.0
    else:
        with pytest.raises(ValueError, match="m ="):
            metric.as_lower_is_better(value)


def test_a_stand_in_for_infinity_is_used_where_declared():
    assert Metric("steps", "step", "lower", "seeded", asv_ceiling=210).as_lower_is_better(math.inf) == 210


@pytest.mark.parametrize("options", [{"better": "bigger"}, {"kind": "guess"}])
def test_direction_and_kind_are_checked(options):
    with pytest.raises(ValueError, match="is not one of"):
        Metric(**{"name": "m", "unit": "1", "better": "lower", "kind": "exact", **options})
