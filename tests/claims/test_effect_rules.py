"""Rules about effects: what supports, what refutes, and what failures count as."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_evidence import WOBBLE, claim, find

from ics_bench.claims import judge
from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import MissingEvidenceError
from ics_bench.claims.rules import RULES
from ics_bench.core import Case, Measurement

INF, NAN = math.inf, math.nan
SEEDS = len(WOBBLE)


ABOVE = {"bound": 1.0, "direction": "above"}
BELOW = {"bound": 1.0, "direction": "below"}


@pytest.mark.parametrize("summary", ["mean", "median"])
@pytest.mark.parametrize(
    ("parameters", "centre", "verdict"),
    [
        (ABOVE, 2.0, "supported"),
        (ABOVE, 0.0, "refuted"),
        (ABOVE, 1.0, "inconclusive"),
        (BELOW, 0.0, "supported"),
        (BELOW, 2.0, "refuted"),
        ({**ABOVE, "smallest_effect": 0.5}, 2.1, "supported"),
        ({**ABOVE, "smallest_effect": 0.5}, 1.05, "refuted"),  # beyond the bound, by too little to matter
        ({**ABOVE, "smallest_effect": 0.5}, 1.5, "inconclusive"),
        ({**BELOW, "smallest_effect": 0.5}, 0.05, "supported"),
        ({**BELOW, "smallest_effect": 0.5}, 0.95, "refuted"),
    ],
)
def test_exceeds(parameters, centre, verdict, summary):
    finding = find("exceeds", {**parameters, "summary": summary}, subject=centre + WOBBLE)
    assert finding.verdict == verdict
    side = 1 if parameters["direction"] == "above" else -1
    assert finding.effect == pytest.approx(side * (centre - 1.0), abs=0.06)
    assert finding.interval.low <= finding.effect <= finding.interval.high
    assert finding.n == SEEDS


def test_exceeds_by_decades():
    parameters = {"bound": 10.0, "direction": "above", "scale": "log10-ratio", "smallest_effect": 1.0}
    finding = find("exceeds", parameters, subject=10.0 ** (2.7 + WOBBLE / 10))
    assert (finding.verdict, finding.unit) == ("supported", "decades")
    assert finding.effect == pytest.approx(1.7, abs=0.02)
    assert finding.target == "above 10 by more than 1 decades"
    assert finding.p == 2.0**-SEEDS


@pytest.mark.parametrize(("parameters", "good"), [(ABOVE, 2.0), (BELOW, 0.5)])
@pytest.mark.parametrize("scale", ["difference", "log10-ratio"])
def test_a_diverged_seed_is_infinitely_short_of_a_bound(parameters, good, scale):
    values = [*[NAN] * 9, good, good]
    finding = find("exceeds", {**parameters, "scale": scale}, subject=values)
    assert (finding.verdict, finding.effect) == ("refuted", -INF)
    assert "9 of 11 seeds hold a failure or an infinity" in finding.warnings[0]
    with pytest.raises(MissingEvidenceError, match="judge the median"):
        find("exceeds", {**parameters, "summary": "mean"}, subject=values)


@pytest.mark.parametrize(
    ("claimed", "won", "verdict"),
    [
        ("most", 11, "supported"),
        ("most", 9, "supported"),
        ("most", 8, "inconclusive"),
        ("most", 2, "refuted"),
        ("few", 0, "supported"),
        ("few", 2, "supported"),
        ("few", 3, "inconclusive"),
        ("few", 9, "refuted"),
    ],
)
def test_success_is_a_sign_test(claimed, won, verdict):
    values = [5.0] * won + [50.0] * (SEEDS - won)
    finding = find("success", {"claimed": claimed, "at_most": 5.0}, subject=values)
    assert finding.verdict == verdict
    tail = sum(math.comb(SEEDS, k) for k in range(min(won, SEEDS - won) + 1)) / 2.0**SEEDS
    assert finding.p == pytest.approx(tail)
    assert finding.effect == won / SEEDS
    assert finding.interval.low <= finding.effect <= finding.interval.high
    assert f"{won} of 11" in finding.target


@pytest.mark.parametrize("bound", [{"at_least": 0.0}, {"at_most": 0.0}])
def test_a_diverged_seed_is_no_success_whichever_way(bound):
    finding = find("success", {"claimed": "most", **bound}, subject=[NAN] * 6 + [0.0] * 5)
    assert finding.effect == 5 / 11
    assert "6 of 11 seeds diverged" in finding.warnings[0]


def test_success_of_what_was_never_reached():
    finding = find("success", {"claimed": "few", "at_most": 200.0}, subject=[INF] * 11)
    assert (finding.verdict, finding.effect) == ("supported", 0.0)


STEPS = 100 * 10.0 ** (WOBBLE / 20)


@pytest.mark.parametrize("summary", ["mean", "median"])
@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(3.9, "supported"), (2.0, "refuted"), (6.5, "refuted"), (1.0, "refuted"), (0.5, "refuted"), (3.0, "inconclusive")],
)
def test_paired_range(factor, verdict, summary):
    noise = 10.0 ** (WOBBLE[::-1] / 50)
    parameters = {"better": "lower", "low": 3.0, "high": 5.0, "summary": summary}
    finding = find("paired_range", parameters, subject=STEPS, baseline=factor * noise * STEPS)
    assert finding.verdict == verdict
    assert 10**finding.effect == pytest.approx(factor, rel=0.02)
    assert f"measured {10**finding.effect:.3g}" in finding.target
    if verdict == "supported":
        assert finding.p == 2.0**-SEEDS
    if verdict == "refuted":
        assert finding.p == 2 * 2.0**-SEEDS  # two ways to be outside


def test_a_ratio_of_a_higher_is_better_metric_is_the_other_way_round():
    parameters = {"better": "higher", "low": 3.0, "high": 5.0}
    assert find("paired_range", parameters, subject=4 * STEPS, baseline=STEPS).verdict == "supported"
    assert find("paired_range", parameters, subject=STEPS, baseline=4 * STEPS).verdict == "refuted"


def test_a_baseline_that_never_arrives_is_beyond_every_range():
    parameters = {"better": "lower", "low": 3.0, "high": 5.0}
    finding = find("paired_range", parameters, subject=STEPS, baseline=[INF] * SEEDS)
    assert (finding.verdict, finding.effect) == ("refuted", INF)
    neither = find("paired_range", parameters, subject=[INF] * SEEDS, baseline=[NAN] * SEEDS)
    assert (neither.verdict, neither.effect) == ("refuted", 0.0)
    with pytest.raises(MissingEvidenceError, match="judge the median"):
        find("paired_range", {**parameters, "summary": "mean"}, subject=STEPS, baseline=[INF] * SEEDS)


LOSS = {"better": "lower", "scale": "difference", "smallest_effect": 0.5}


@pytest.mark.parametrize("summary", ["mean", "median"])
@pytest.mark.parametrize(("excess", "verdict"), [(2.0, "supported"), (0.0, "refuted"), (-2.0, "refuted")])
def test_interaction(excess, verdict, summary):
    arms = {
        "neither": 10 + WOBBLE,
        "first": 8 + WOBBLE / 2,
        "second": 7 - WOBBLE / 3,
        "both": 5 - excess + WOBBLE[::-1] / 4,
    }
    finding = find("interaction", {**LOSS, "summary": summary}, **arms)
    assert finding.verdict == verdict
    assert finding.effect == pytest.approx(excess, abs=0.15)
    accuracy = {role: -values for role, values in arms.items()}
    assert find("interaction", {**LOSS, "summary": summary, "better": "higher"}, **accuracy).verdict == verdict


def test_interaction_of_factors_that_multiply_is_none_by_decades():
    arms = {"neither": 800 * STEPS, "first": 80 * STEPS, "second": 20 * STEPS, "both": 2 * STEPS}
    finding = find("interaction", {**LOSS, "scale": "log10-ratio", "smallest_effect": 0.1}, **arms)
    assert finding.verdict == "refuted"
    assert finding.effect == pytest.approx(0.0, abs=1e-9)


def test_the_order_of_the_factors_does_not_matter():
    rng = np.random.default_rng(0)
    arms = {role: rng.normal(size=SEEDS) for role in ("both", "first", "second", "neither")}
    swapped = {**arms, "first": arms["second"], "second": arms["first"]}
    one, other = (find("interaction", {**LOSS, "summary": "mean"}, **found) for found in (arms, swapped))
    assert one.effect == pytest.approx(other.effect)
    assert one.p == pytest.approx(other.p)


def test_failures_on_both_sides_of_an_interaction_count_for_neither_verdict():
    lost = [INF] * SEEDS
    alike = {"neither": lost, "second": STEPS, "first": lost, "both": STEPS}  # inf - inf
    finding = find("interaction", LOSS, **alike)
    assert finding.verdict == "inconclusive"
    assert math.isnan(finding.effect)
    assert finding.interval == (-INF, INF)
    assert "11 of 11 seeds undecided" in finding.warnings[1]
    few = {role: [values[0], *([100.0] * 10)] for role, values in alike.items()}
    assert find("interaction", {**LOSS, "smallest_effect": 1.0}, **few).verdict == "refuted"


def test_only_both_together_arriving_is_an_interaction():
    lost = [INF] * SEEDS
    finding = find("interaction", LOSS, neither=lost, first=lost, second=lost, both=STEPS)
    assert (finding.verdict, finding.effect) == ("supported", INF)


PAIRS = {"x_metric": "m", "y_metric": "m", "direction": "positive"}
SETTINGS = "abcde"


def correlate(parameters, x, y, seeds=2):
    """``x`` and ``y``: values of shape (settings, seeds), or one value a setting for a seedless metric."""
    evidence, arms = [], {}
    for workload, side, rows in (("w", ".x", x), ("v", ".y", y)):
        for name, row in zip(SETTINGS, rows, strict=False):
            case = Case.of(arm=name)
            arms[name + side] = Arm(workload, case)
            if np.ndim(row):
                evidence += [Measurement(workload, case, s, "m", float(v), "1") for s, v in enumerate(row)]
            else:
                evidence.append(Measurement(workload, case, None, "m", float(row), "1"))
    rule = RULES["rank_correlation"](**{**PAIRS, **parameters})
    return rule.find(Evidence(evidence), arms, seeds)


RISING = np.arange(5.0)[:, None] + WOBBLE / 5


def test_rank_correlation_over_settings_of_two_workloads():
    rising = correlate({}, RISING, np.exp(RISING))
    assert (rising.verdict, rising.effect, rising.n, rising.unit) == ("supported", 1.0, SEEDS, "correlation")
    assert rising.p == 2.0**-SEEDS
    assert any("as much in 0.8" in text for text in rising.warnings)  # one of the 120 orders of five settings
    assert rising.target == "a positive correlation over 5 settings"
    assert correlate({"direction": "negative"}, RISING, np.exp(RISING)).verdict == "refuted"
    assert correlate({"direction": "negative"}, RISING, -RISING).effect == 1.0


def test_a_correlation_that_is_too_small_to_matter_is_ruled_out():
    y = RISING[[1, 0, 3, 4, 2]]  # rho = 0.6
    assert correlate({}, RISING, y).effect == pytest.approx(0.6, abs=0.02)
    assert correlate({"smallest": 0.3}, RISING, y).verdict == "inconclusive"  # as much in one deal of six
    assert correlate({"smallest": 0.8}, RISING, y).verdict == "refuted"


def test_a_number_over_all_seeds_serves_every_seed():
    finding = correlate({}, RISING, [0.1, 0.3, 1.0, 3.0, INF])
    assert (finding.verdict, finding.effect) == ("supported", 1.0)
    assert "m is one number over all seeds in some setting" in finding.warnings
    with pytest.raises(MissingEvidenceError, match="is no sample"):
        correlate({}, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(("worst", "effect"), [("highest", 1.0), ("lowest", -0.0)])
def test_a_diverged_seed_takes_an_end_of_the_ranks(worst, effect):
    x = RISING.copy()
    x[4] = NAN
    assert correlate({"x_worst": worst}, x, RISING).effect == pytest.approx(effect, abs=1e-9)


def test_without_variation_there_is_no_correlation():
    finding = correlate({}, RISING, np.ones((5, SEEDS)))
    assert (finding.verdict, finding.effect) == ("inconclusive", 0.0)
    assert any("on 11 of 11 seeds" in text for text in finding.warnings)
    assert correlate({"smallest": 0.2}, RISING, np.ones((5, SEEDS))).verdict == "refuted"


def test_arms_of_different_seeds_or_too_few_are_refused():
    with pytest.raises(MissingEvidenceError, match="different seeds"):
        correlate({}, RISING, [row[:-1] for row in RISING])
    with pytest.raises(MissingEvidenceError, match="11 of the 12 seeds"):
        correlate({}, RISING, RISING, seeds=12)
    with pytest.raises(MissingEvidenceError, match="different seeds; run all"):
        find("interaction", LOSS, neither=STEPS, first=STEPS, second=STEPS, both=STEPS[:-1])


def test_rank_correlation_from_a_catalogue():
    arms = ", ".join(
        f'"{name}.x" = {{ arm = "{name}" }}, "{name}.y" = {{ workload = "v", arm = "{name}" }}' for name in SETTINGS
    )
    body = f"""
[claim.parameters]
x_metric = "m"
y_metric = "m"
direction = "positive"
[[claim.settings]]
name = "all"
arms = {{ {arms} }}
"""
    entry = claim(body, rule="rank_correlation", family="training")
    evidence = [
        Measurement(workload, Case.of(arm=name), seed, "m", float(value), "1")
        for workload in "wv"
        for name, row in zip(SETTINGS, RISING, strict=True)
        for seed, value in enumerate(row)
    ]
    assert judge(entry, evidence, "standard").verdict == "supported"
    rule = entry.settings[0].rule
    assert (rule.metrics_of("a.x"), rule.metrics_of("a.y")) == (("m",), ("m",))


values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([INF, -INF, NAN])), min_size=2, max_size=8)


@given(values, st.sampled_from(["above", "below"]), st.floats(-10, 10), st.floats(0, 5))
def test_a_verdict_has_a_p_and_the_two_sides_exclude_each_other(sample, direction, bound, smallest):
    parameters = {"bound": bound, "direction": direction, "smallest_effect": smallest}
    finding = find("exceeds", parameters, subject=sample)
    assert 0 < finding.p <= 1
    assert (finding.verdict == "inconclusive") == (finding.p > 0.05)
    opposite = {**parameters, "direction": "below" if direction == "above" else "above"}
    if np.isfinite(sample).all():
        assert {finding.verdict, find("exceeds", opposite, subject=sample).verdict} != {"supported"}
