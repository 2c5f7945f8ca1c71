"""Holm's correction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.stats import holm

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(p_lists)
def test_adjusted_is_at_least_raw_at_most_one_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    by_raw = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


@given(p_lists, st.randoms())
def test_order_given_does_not_matter(p_values, random):
    places = list(range(len(p_values)))
    random.shuffle(places)
    shuffled = holm([p_values[place] for place in places])
    assert shuffled == [holm(p_values)[place] for place in places]


@given(p_lists, st.sampled_from([0.01, 0.05, 0.3]))
def test_rejects_what_the_step_down_procedure_rejects(p_values, level):
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(place)
    assert {place for place, p in enumerate(holm(p_values)) if p <= level} == rejected


@given(p_lists, st.integers(0, 20))
def test_absent_members_count_as_one(p_values, absent):
    assert holm(p_values, len(p_values) + absent) == holm([*p_values, *[1.0] * absent])[: len(p_values)]


def test_nothing_to_adjust():
    assert holm([]) == []


def test_family_wise_error():
    generator = np.random.default_rng(4)
    errors = [min(holm(list(generator.uniform(size=20)))) <= 0.05 for _ in range(2000)]
    assert np.mean(errors) <= 0.05 + 4 * (0.05 / 2000) ** 0.5


@pytest.mark.parametrize("p_values", [[-0.1], [1.1], [float("nan")]])
def test_not_a_probability(p_values):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm(p_values)


def test_family_smaller_than_given():
    with pytest.raises(ValueError, match="family_size=1"):
        holm([0.1, 0.2], 1)
