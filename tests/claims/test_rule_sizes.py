"""How often rules that test are wrong where the null is true, and right where the claim is, by simulation."""

import numpy as np
import pytest
from synthetic_evidence import by_seed

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.rules import RULES
from ics_bench.core import Case

SEEDS, RUNS, ALPHA = 8, 400, 0.05
MOST_FALSE = ALPHA + 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5
"""Three standard errors above the level: beyond it the test is broken, not unlucky."""


def symmetric(rng, shape):
    """Heavy tails: what a t test would not bear."""
    return rng.standard_t(2, shape)


def exceeds(rng, effect):
    values = symmetric(rng, SEEDS) + 3.0 + effect
    return {"metric": "m", "bound": 2.0, "direction": "above", "smallest_effect": 1.0}, {"subject": values}


def paired_effect(rng, effect):
    baseline = symmetric(rng, SEEDS)
    subject = baseline + symmetric(rng, SEEDS) + 1.0 + effect
    parameters = {"metric": "m", "better": "higher", "scale": "difference", "smallest_effect": 1.0}
    return parameters, {"subject": subject, "baseline": baseline}


def interaction(rng, effect):
    common = 10 * rng.normal(size=SEEDS)
    arms = {role: common + symmetric(rng, SEEDS) for role in ("first", "second", "neither")}
    arms["both"] = common + symmetric(rng, SEEDS) + 1.0 + effect
    return {"metric": "m", "better": "higher", "scale": "difference", "smallest_effect": 1.0}, arms


def success(rng, effect):
    values = rng.random(SEEDS) < 0.5 + np.clip(effect, -0.5, 0.5)
    return {"metric": "m", "claimed": "most", "at_least": 1.0}, {"subject": values}


def rank_correlation(rng, effect):
    x = rng.normal(size=(5, SEEDS))
    y = effect * x + rng.normal(size=(5, SEEDS))
    arms = {f"{name}.x": row for name, row in zip("abcde", x, strict=True)}
    arms |= {f"{name}.y": row for name, row in zip("abcde", y, strict=True)}
    return {"x_metric": "m", "y_metric": "m", "direction": "positive"}, arms


def verdict(name, case):
    parameters, arms = case
    evidence = Evidence([m for role, values in arms.items() for m in by_seed("m", values, arm=role)])
    selected = {role: Arm("w", Case.of(arm=role)) for role in arms}
    return RULES[name](**parameters).find(evidence, selected, SEEDS).verdict


def rates(make, effect):
    rng = np.random.default_rng(7)
    found = [verdict(make.__name__, make(rng, effect)) for _ in range(RUNS)]
    return found.count("supported") / RUNS, found.count("refuted") / RUNS


ALL = [exceeds, paired_effect, interaction, success, rank_correlation]


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_neither_verdict_is_reached_too_often_at_the_edge(make):
    assert max(rates(make, 0.0)) <= MOST_FALSE


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_far_from_the_edge_is_found_and_on_the_right_side(make, sign):
    supported, refuted = rates(make, sign * 8.0)
    right, wrong = (supported, refuted) if sign > 0 else (refuted, supported)
    assert right >= 0.9
    assert wrong == 0


def printed_range(rng, ratio):
    baseline = 100 * 10 ** (symmetric(rng, SEEDS) / 20)
    noise = 10 ** (symmetric(rng, SEEDS) / 20)
    return {"metric": "m", "better": "lower", "low": 3.0, "high": 5.0}, {
        "subject": baseline / ratio * noise,
        "baseline": baseline,
    }


def range_rates(ratio):
    rng = np.random.default_rng(11)
    found = [verdict("paired_range", printed_range(rng, ratio)) for _ in range(RUNS)]
    return found.count("supported") / RUNS, found.count("refuted") / RUNS


@pytest.mark.parametrize("ratio", [3.0, 5.0])
def test_a_ratio_at_the_end_of_a_range_is_rarely_put_inside_or_outside(ratio):
    assert max(range_rates(ratio)) <= MOST_FALSE


def test_a_wide_spread_does_not_refute_a_range_more_often():
    rng = np.random.default_rng(13)
    outcomes = []
    for _ in range(RUNS):
        gains = 10 * rng.standard_cauchy(SEEDS)  # much wider than the range: either end may be missed
        subject = np.ones(SEEDS)
        baseline = 10 ** (np.log10(15**0.5) + np.clip(gains, -200, 200))
        case = {"metric": "m", "better": "lower", "low": 3.0, "high": 5.0}, {"subject": subject, "baseline": baseline}
        outcomes.append(verdict("paired_range", case))
    assert outcomes.count("refuted") / RUNS <= MOST_FALSE


@pytest.mark.parametrize(("ratio", "side"), [(3.9, 0), (1.5, 1), (12.0, 1)])
def test_a_ratio_inside_or_outside_is_found(ratio, side):
    rng = np.random.default_rng(17)
    found = []
    for _ in range(100):
        baseline = 100 * 10 ** (rng.normal(size=SEEDS) / 20)
        subject = baseline / ratio * 10 ** (rng.normal(size=SEEDS) / 100)
        parameters = {"metric": "m", "better": "lower", "low": 3.0, "high": 5.0}
        found.append(verdict("paired_range", (parameters, {"subject": subject, "baseline": baseline})))
    assert found.count(("supported", "refuted")[side]) >= 90
