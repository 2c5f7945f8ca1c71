"""Rules that show an absence, and what failures do to them: both arms failing is no evidence, one alone differs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_evidence import WOBBLE, claim, find

from ics_bench.claims import Finding
from ics_bench.claims.rules import RULES

INF, NAN = math.inf, math.nan
SEEDS = len(WOBBLE)
STEPS = 100 * 10.0 ** (WOBBLE / 20)

NEAR = {"better": "lower", "scale": "log10-ratio", "margin": 0.1}


def equivalence(subject, baseline, **parameters):
    return find("equivalent", {**NEAR, **parameters}, subject=subject, baseline=baseline)


@pytest.mark.parametrize("failed", [INF, NAN])
def test_two_arms_that_fail_alike_are_not_equivalent(failed):
    finding = equivalence([failed] * SEEDS, [failed] * SEEDS)
    assert finding.verdict == "inconclusive"
    assert finding.interval == (-INF, INF)
    assert math.isnan(finding.effect)
    assert "on 11 of 11 seeds both sides failed" in finding.warnings[0]
    most = [*STEPS[:4], *[failed] * 7]
    assert equivalence(most, most).verdict == "inconclusive"
    assert equivalence(1e6 * np.array(most), most).verdict == "inconclusive"


def test_a_pair_of_failures_does_not_keep_the_others_from_deciding():
    few = np.array([*STEPS, *STEPS, INF])
    assert equivalence(few, few).verdict == "supported"
    assert equivalence(3 * few, few).verdict == "refuted"
    assert equivalence(few, few).p > equivalence([*STEPS, *STEPS], [*STEPS, *STEPS]).p


def test_failures_on_both_sides_weigh_against_either_edge():
    few = np.array([*STEPS, INF, INF])
    near = few * 10.0**0.04 * 10.0 ** (np.resize(WOBBLE, few.size) / 5)  # some beyond the upper edge
    one, other = equivalence(near, few), equivalence(few, near)
    assert one.p == pytest.approx(other.p)


@pytest.mark.parametrize("swap", [False, True])
def test_an_arm_that_fails_alone_differs(swap):
    arms = [INF] * 9 + [100, 100], [100] * SEEDS
    finding = equivalence(*(arms[::-1] if swap else arms))
    assert finding.verdict == "refuted"
    assert finding.effect == (INF if swap else -INF)
    assert "on 9 of 11 seeds one side failed and the other did not" in finding.warnings[0]
    one = equivalence(STEPS, [*STEPS[1:], INF])
    assert one.p > equivalence(STEPS, STEPS).p
    assert one.n == SEEDS


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.lists(st.sampled_from([0.0, INF, NAN]), max_size=6))
def test_equivalence_treats_its_arms_alike(differences, extra):
    difference = {"better": "higher", "scale": "difference", "margin": 0.5}
    subject = [*differences, *(0.0 for _ in extra)]
    baseline = [*(0.0 for _ in differences), *(-value for value in extra)]
    one, other = equivalence(subject, baseline, **difference), equivalence(baseline, subject, **difference)
    assert (one.verdict, one.p) == (other.verdict, pytest.approx(other.p))


LESS = {"better": "lower", "scale": "log10-ratio", "smallest_effect": 0.1}
ABSENT = {**LESS, "claimed": "absent"}


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "supported"), (0.5, "supported"), (2.0, "refuted")])
def test_an_advantage_that_is_ruled_out_supports_its_absence(factor, verdict):
    arms = {"subject": STEPS / factor, "baseline": STEPS * 10.0 ** (WOBBLE[::-1] / 100)}
    finding, other = find("paired_effect", ABSENT, **arms), find("paired_effect", LESS, **arms)
    assert {finding.verdict, other.verdict} == {"supported", "refuted"}
    assert finding.verdict == verdict
    assert (finding.effect, finding.p, finding.interval) == (other.effect, other.p, other.interval)
    assert finding.target == "no more than 0.1"


def factorial(excess, **changes):
    """Steps of four arms whose factors multiply, but for ``excess`` decades."""
    noise = 10.0 ** (WOBBLE[::-1] / 100)
    arms = {"neither": 800 * STEPS, "first": 80 * STEPS * noise, "second": 20 * STEPS}
    return arms | {"both": 2 * STEPS * 10.0**-excess} | changes


@pytest.mark.parametrize(("excess", "verdict"), [(0.0, "supported"), (-0.3, "supported"), (0.3, "refuted")])
def test_an_interaction_that_is_ruled_out_supports_its_absence(excess, verdict):
    finding = find("interaction", ABSENT, **factorial(excess))
    assert finding.verdict == verdict
    assert finding.effect == pytest.approx(excess, abs=0.01)


def test_too_little_evidence_shows_neither_an_effect_nor_its_absence():
    lost = [INF] * SEEDS
    undecided = {"neither": lost, "second": STEPS, "first": lost, "both": STEPS}  # inf - inf
    assert find("interaction", ABSENT, **undecided).verdict == "inconclusive"
    assert find("interaction", ABSENT, **factorial(0.1)).verdict == "inconclusive"


@pytest.mark.parametrize(("rule", "arms"), [("paired_effect", 2), ("interaction", 4)])
def test_what_is_tracked_falls_as_an_absence_holds_by_more(rule, arms):
    made = RULES[rule](metric="m", **ABSENT)
    short = [made.shortfall(Finding("supported", effect=effect, unit="decades")) for effect in (0.3, 0.1, 0.0, -0.3)]
    assert short == pytest.approx([10**0.2, 1.0, 10**-0.1, 10**-0.4])
    assert len(made.roles) == arms


def attempts(*won, **parameters):
    arms = {f"a{i}": [1.0] * count + [NAN, *[0.0] * SEEDS][: SEEDS - count] for i, count in enumerate(won)}
    return find("impossible", {"at_least": 1, **parameters}, **arms)


@pytest.mark.parametrize(
    ("won", "verdict"),
    [
        ((0, 0, 0), "supported"),
        ((0, 11, 0), "refuted"),  # one recipe that trains is enough
        ((2, 1, 0), "supported"),
        ((0, 0, 5), "inconclusive"),  # and one that may is enough to leave it open
        ((0, 9, 0), "inconclusive"),  # p = .033 of one arm, of three a third of which would do
        ((9, 0), "inconclusive"),
        ((10, 0, 0), "refuted"),
    ],
)
def test_what_is_impossible_fails_whatever_the_attempt(won, verdict):
    finding = attempts(*won)
    assert finding.verdict == verdict
    assert finding.effect == max(won) / SEEDS
    assert finding.interval.low <= finding.effect <= finding.interval.high
    if verdict == "refuted":
        assert finding.p == pytest.approx(len(won) * sum(math.comb(SEEDS, k) for k in range(max(won), 12)) / 2**SEEDS)


def test_the_order_of_the_attempts_does_not_matter_and_each_is_named():
    one, other = attempts(0, 3, 11), attempts(11, 0, 3)
    assert (one.verdict, one.p, one.effect) == (other.verdict, other.p, other.effect)
    assert "a0 0 of 11, a1 3 of 11, a2 11 of 11" in one.target


def test_one_attempt_is_none():
    body = """
[claim.parameters]
metric = "m"
at_least = 1
[[claim.settings]]
name = "a"
arms = { alone = {} }
"""
    with pytest.raises(Exception, match="tries several arms, got alone"):
        claim(body, rule="impossible")
