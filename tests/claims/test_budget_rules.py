"""What a budget ended is a bound, of ratios of steps and of ceilings; and NaN may mean undefined."""

import math

import numpy as np
import pytest
from synthetic_evidence import GRID, by_seed, ceilings

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import MissingEvidenceError
from ics_bench.claims.rules import RULES
from ics_bench.core import Case

INF, NAN, SEEDS = math.inf, math.nan, 11
RANGE = {"metric": "m", "better": "lower", "low": 10.0, "high": 20.0, "budget": 1000.0}
WOBBLE = 10.0 ** (np.linspace(-1, 1, SEEDS) / 50)


def find(rule, parameters, **arms):
    evidence, selected = [], {}
    for role, values in arms.items():
        evidence += by_seed("cost_ratio" if role == "cost" else "m", values, arm=role)
        selected[role] = Arm("w", Case.of(arm=role))
    return RULES[rule](**parameters).find(Evidence(evidence), selected, 2)


@pytest.mark.parametrize(
    ("subject", "baseline", "verdict"),
    [
        (60.0, 900.0, "supported"),
        (200.0, INF, "inconclusive"),  # at least 5
        (60.0, INF, "inconclusive"),  # at least 17: inside or above
        (40.0, INF, "refuted"),  # at least 25
        (INF, INF, "inconclusive"),
        (INF, 900.0, "refuted"),  # at most 0.9
        (40.0, NAN, "refuted"),  # a replica that diverged never arrives
        (NAN, NAN, "inconclusive"),
    ],
)
def test_an_arm_that_does_not_arrive_in_the_budget_gives_a_bound(subject, baseline, verdict):
    finding = find("paired_range", RANGE, subject=subject * WOBBLE, baseline=baseline * np.ones(SEEDS))
    assert finding.verdict == verdict
    assert finding.interval.low <= finding.interval.high


def test_without_a_budget_what_never_arrives_is_beyond_every_range():
    endless = {**RANGE, "budget": INF}
    assert find("paired_range", endless, subject=60 * WOBBLE, baseline=[INF] * SEEDS).verdict == "refuted"


def test_bounds_are_counted_and_said():
    finding = find("paired_range", RANGE, subject=60 * WOBBLE, baseline=[*([900.0] * 10), INF])
    assert finding.verdict == "supported"
    assert any("1 of 11 ratios are bounds" in text and "1000 steps" in text for text in finding.warnings)


@pytest.mark.parametrize(("cost", "verdict"), [(1.0, "refuted"), (2.0, "supported"), (4.0, "refuted")])
def test_the_cost_of_a_step_divides_the_ratio_seed_by_seed(cost, verdict):
    arms = {"subject": 30 * WOBBLE, "baseline": np.full(SEEDS, 900.0), "cost": cost * WOBBLE[::-1]}
    finding = find("paired_range", RANGE, **arms)
    assert finding.verdict == verdict
    assert 10**finding.effect == pytest.approx(30 / cost, rel=0.02)


def test_the_cost_comes_from_the_same_seeds():
    with pytest.raises(MissingEvidenceError, match="other seeds"):
        find("paired_range", RANGE, subject=WOBBLE, baseline=WOBBLE, cost=WOBBLE[:-1])
    with pytest.raises(ValueError, match="compares the arms"):
        RULES["paired_range"].check_arms(("subject", "baseline", "price"))


@pytest.mark.parametrize(("ratio", "verdict"), [(2.0, "supported"), (0.5, "refuted"), (1.0, "inconclusive")])
def test_a_range_without_end_is_a_bound(ratio, verdict):
    rng = np.random.default_rng(3)
    noise = 10.0 ** rng.normal(scale=0.05, size=SEEDS)
    parameters = {"metric": "m", "better": "lower", "low": 1.0, "budget": 1000.0}
    rule = RULES["paired_range"](**parameters)
    finding = find("paired_range", parameters, subject=100 * noise, baseline=np.full(SEEDS, 100.0 * ratio))
    assert finding.verdict == verdict
    assert "at least 1" in finding.target
    assert (rule.shortfall(finding) < 1) == (finding.effect > 0)


def ceiling(rates, succeeds, case_seeds=SEEDS, seeds=SEEDS, **parameters):
    evidence = Evidence(ceilings({"norm": "none"}, succeeds, seeds=range(case_seeds), rates=rates))
    arm = Arm("w", Case.of(norm="none"))
    rule = RULES["printed_ceiling"](**{"printed": 0.001, "resamples": 99, **parameters})
    return rule.find(evidence.first(seeds), {"subject": arm}, min(seeds, case_seeds))


@pytest.mark.parametrize(
    ("feasible_from", "verdict"),
    [(0.0, "refuted"), (10**-3.5, "refuted"), (0.001, "inconclusive"), (0.1, "inconclusive")],
)
def test_a_failure_at_a_rate_too_low_for_the_budget_refutes_nothing(feasible_from, verdict):
    assert ceiling(GRID, lambda rate, seed: False, feasible_from=feasible_from).verdict == verdict


def test_a_success_above_the_printed_rate_refutes_it_whatever_the_budget():
    assert ceiling(GRID, lambda rate, seed: 0.05 < rate < 0.2, feasible_from=0.01).verdict == "refuted"


def test_a_ceiling_is_that_of_the_seeds_that_count_though_more_were_measured():
    """Seeds beyond the claim's do not train at all: over all of them the ceiling is another one."""
    finding = ceiling(GRID, lambda rate, seed: seed < 7 and rate <= 0.0011, case_seeds=15, seeds=7)
    assert (finding.verdict, finding.n) == ("supported", 7)
    assert finding.effect == pytest.approx(0.0)
    assert not any("no rate of the grid" in text for text in finding.warnings)
    alone = ceiling(GRID, lambda rate, seed: seed < 7 and rate <= 0.0011, case_seeds=7, seeds=7)
    assert (alone.verdict, alone.effect, alone.p) == (finding.verdict, finding.effect, finding.p)


def test_a_pair_of_which_one_is_undefined_counts_for_neither_verdict():
    parameters = {"metric": "m", "better": "lower", "scale": "log10-ratio", "smallest_effect": 0.1}
    subject, baseline = np.array([*([NAN] * 8), 1.0, 1.0, 1.0]), np.full(SEEDS, 10.0)
    assert find("paired_effect", parameters, subject=subject, baseline=baseline).verdict == "refuted"
    open_ended = find("paired_effect", {**parameters, "undefined": "undecided"}, subject=subject, baseline=baseline)
    assert open_ended.verdict == "inconclusive"
    assert any("8 of 11 seeds undecided" in text for text in open_ended.warnings)
    few = np.array([NAN, *([1.0] * 10)])
    finding = find("paired_effect", {**parameters, "undefined": "undecided"}, subject=few, baseline=baseline)
    assert finding.verdict == "supported"
