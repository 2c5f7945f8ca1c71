"""The sign-flip test: exact, symmetric, and right about its own error rate."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.stats import sign_flip

finite = st.floats(-1e6, 1e6, allow_nan=False)
samples = st.lists(finite, min_size=1, max_size=9)


def brute_force(values, alternative):
    size = {"greater": lambda s: s, "less": lambda s: -s, "two-sided": abs}[alternative]
    slack = 1e-12 * sum(map(abs, values))
    patterns = list(itertools.product((1, -1), repeat=len(values)))
    hits = sum(size(sum(s * v for s, v in zip(p, values, strict=True))) >= size(sum(values)) - slack for p in patterns)
    return hits / len(patterns)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=8), st.sampled_from(["greater", "less", "two-sided"]))
def test_equals_brute_force(values, alternative):
    assert sign_flip(values, alternative).p == brute_force(values, alternative)


@given(samples)
def test_p_is_a_probability_that_is_never_zero(values):
    result = sign_flip(values)
    assert 2.0 ** -len(values) <= result.p <= 1
    assert result.exact
    assert result.p_bound == result.p


@given(samples)
def test_mirrored_sample_mirrors_the_alternative(values):
    assert sign_flip(values, "greater").p == sign_flip([-v for v in values], "less").p


@given(samples, st.floats(1e-3, 1e3))
def test_unit_does_not_matter(values, scale):
    assert sign_flip([scale * v for v in values]).p == pytest.approx(sign_flip(values).p, abs=1e-12)


def test_smallest_p_is_two_to_the_minus_n():
    assert sign_flip(np.linspace(0.1, 1, 11), "greater").p == 2.0**-11


def test_order_does_not_change_the_verdict_on_ties():
    values = [0.1, 0.2, 0.3, -0.6]
    assert {sign_flip(list(order), "greater").p for order in itertools.permutations(values)} == {0.5 + 1 / 16}


def test_beyond_twenty_pairs_is_drawn_seeded_and_bounded():
    values = np.random.default_rng(3).normal(0.4, 1, 25)
    drawn = sign_flip(values, "greater", draws=20_000, seed=1)
    again = sign_flip(values, "greater", draws=20_000, seed=1)
    other = sign_flip(values, "greater", draws=20_000, seed=2)
    assert not drawn.exact
    assert drawn == again
    assert drawn.p != other.p
    assert drawn.p < drawn.p_bound < drawn.p + 0.01
    assert abs(drawn.p - other.p) < 0.01


def test_drawn_p_bound_covers_the_exact_p():
    values = np.concatenate([np.random.default_rng(0).normal(0.3, 1, 20), np.zeros(1)])  # a zero changes no p
    exact = sign_flip(values[:20], "greater").p
    bounds = [sign_flip(values, "greater", draws=2000, seed=seed).p_bound for seed in range(40)]
    assert sum(bound < exact for bound in bounds) <= 3  # 99 % coverage: 4 of 40 has probability 5e-4


def test_false_positive_rate_is_at_most_the_level():
    generator = np.random.default_rng(11)
    p_values = np.array([sign_flip(generator.standard_t(3, 11), "greater").p for _ in range(2000)])
    for level in (0.01, 0.05, 0.2):
        rate = (p_values <= level).mean()
        assert rate == pytest.approx(level, abs=4 * (level / 2000) ** 0.5)


@pytest.mark.parametrize("values", [[], [float("nan"), 1.0], [float("inf"), 1.0], [[1.0], [2.0]]])
def test_samples_it_cannot_take_are_refused(values):
    with pytest.raises(ValueError, match=r"finite|numbers"):
        sign_flip(values)


def test_unknown_alternative_is_refused():
    with pytest.raises(ValueError, match="bigger"):
        sign_flip([1.0], "bigger")
