"""The judge over made-up measurements: every verdict can be reached, and nothing judges what it cannot."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_evidence import by_seed, claim

from ics_bench.claims import Finding, correct_family, judge
from ics_bench.claims.combine import combine, combined_p
from ics_bench.core import UsageError

THEORY = """
[claim.parameters]
metric = "rate"
expected = 2.0
relative_tolerance = 0.1
[[claim.settings]]
name = "a"
case = { arm = "a" }
[[claim.settings]]
name = "b"
case = { arm = "b" }
[[claim.settings]]
name = "aside"
primary = false
case = { arm = "aside" }
"""
CONTROLLED = (
    THEORY + '[[claim.controls]]\nname = "still"\ncase = { arm = "control" }\nparameters = { expected = 1.0 }\n'
)

PAIRED = """
[claim.parameters]
metric = "steps"
better = "lower"
scale = "log10-ratio"
smallest_effect = 0.1
summary = "{summary}"
[[claim.settings]]
name = "only"
arms = {{ subject = {{ norm = "batch" }}, baseline = {{ norm = "none" }} }}
"""
EQUIVALENT = """
[claim.parameters]
metric = "accuracy"
better = "higher"
scale = "difference"
margin = 0.05
[[claim.settings]]
name = "only"
arms = { subject = { norm = "batch" }, baseline = { norm = "none" } }
"""
INF, NAN = math.inf, math.nan
WIDE = [100, 200, 150, 120, 170, 90, 210, 130, 160, 110, 140]


def rates(**values):
    return [m for arm, found in values.items() for m in by_seed("rate", found, arm=arm)]


def around(centre):
    return [centre - 0.02, centre, centre + 0.02]


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (2.0, 2.1, "supported"),
        (1.0, 3.0, "refuted"),
        (2.0, 1.0, "setting-dependent"),
        (2.0, 2.2, "inconclusive"),  # 2.2 is the edge of the band
        (1.0, 1.8, "inconclusive"),
    ],
)
def test_every_verdict_can_be_reached(a, b, verdict):
    judgement = judge(claim(THEORY), rates(a=around(a), b=around(b), aside=around(9)), "standard")
    assert judgement.verdict == verdict
    assert judgement.headline == "a"
    assert judgement.effect == pytest.approx(a)
    assert judgement.settings["aside"].verdict == "refuted"
    assert judgement.n == 3


def test_interval_is_students_and_decides():
    finding = judge(claim(THEORY), rates(a=[1.7, 2.0, 2.3], b=around(2)), "standard").settings["a"]
    assert finding.verdict == "inconclusive"  # the mean is spot on, but three seeds do not show it
    assert finding.interval == pytest.approx((2 - 0.745, 2 + 0.745), abs=1e-3)


def test_missing_setting_is_inconclusive_and_says_what_to_run():
    judgement = judge(claim(THEORY), rates(a=around(2)), "standard")
    assert judgement.verdict == "inconclusive"
    assert any("ics-bench run w --case arm=b --profile standard" in text for text in judgement.warnings)


def test_nothing_measured_at_all():
    judgement = judge(claim(THEORY), [], "standard")
    assert (judgement.verdict, judgement.n) == ("inconclusive", 0)
    assert math.isnan(judgement.effect)


def test_too_few_seeds():
    judgement = judge(claim(THEORY), rates(a=[2, 2], b=around(2)), "standard")
    assert judgement.verdict == "inconclusive"
    assert any("2 of the 3 seeds" in text and "--seeds 3" in text for text in judgement.warnings)


def test_undecided_on_fewer_seeds_than_registered_says_so():
    undecided = judge(claim(THEORY), rates(a=[1.7, 2.0, 2.3], b=around(2)), "standard")
    assert "fewer than the 11 registered seeds; run: ics-bench claims c" in undecided.warnings
    decided = judge(claim(THEORY), rates(a=around(2), b=around(2)), "standard")
    assert not any("registered" in text for text in decided.warnings)


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_seed_without_a_number_is_never_dropped(value):
    judgement = judge(claim(THEORY), rates(a=[*around(2), value], b=around(2)), "standard")
    assert judgement.verdict == "inconclusive"
    assert any("not finite for seeds 3" in text for text in judgement.warnings)


def test_quick_never_judges_and_any_other_run_does_that_holds_the_cases():
    evidence = rates(a=around(2), b=around(2))
    quick = judge(claim(THEORY), evidence, "quick")
    assert quick.verdict == "inconclusive"
    assert {finding.verdict for finding in quick.settings.values()} == {"inconclusive"}
    assert "quick never judges" in quick.warnings[0]
    for tier in ("standard", "full"):
        for profile in ("standard", "full"):
            assert judge(claim(THEORY, tier=tier), evidence, profile).verdict == "supported"


def test_unknown_profile():
    with pytest.raises(UsageError, match="did you mean 'standard'"):
        judge(claim(THEORY), [], "standrad")


@pytest.mark.parametrize(
    ("control", "verdict"), [(around(1), "supported"), (around(2), "inconclusive"), (None, "inconclusive")]
)
def test_a_control_that_is_not_empty_takes_the_verdict_away(control, verdict):
    evidence = rates(a=around(2), b=around(2), **({"control": control} if control else {}))
    judgement = judge(claim(CONTROLLED), evidence, "standard")
    assert judgement.verdict == verdict
    assert any("negative control 'still'" in text for text in judgement.warnings) == (verdict == "inconclusive")


def test_measurements_of_other_workloads_and_cases_do_not_matter():
    evidence = rates(a=around(2), b=around(2), c=around(7))
    assert judge(claim(THEORY), evidence, "standard") == judge(claim(THEORY), evidence[:-3], "standard")


def test_ambiguous_selection_and_doubled_seeds_are_refused():
    two_cases = rates(a=around(2), b=around(2)) + by_seed("rate", around(2), arm="a", depth=3)
    judgement = judge(claim(THEORY), two_cases, "standard")
    assert any("fits several cases" in text for text in judgement.warnings)
    doubled = rates(a=around(2), b=around(2)) + rates(a=around(2))
    assert any("twice for one seed" in text for text in judge(claim(THEORY), doubled, "standard").warnings)
    assert judge(claim(THEORY), doubled, "standard").verdict == "inconclusive"


def test_bounds():
    body = THEORY.replace("expected = 2.0\nrelative_tolerance = 0.1", "at_least = 1.5")
    assert judge(claim(body), rates(a=around(9), b=around(2)), "standard").verdict == "supported"
    assert judge(claim(body), rates(a=around(1), b=around(0)), "standard").verdict == "refuted"


def test_a_tolerance_of_the_excess_is_one_of_the_distance_from_one():
    body = THEORY.replace(
        "expected = 2.0\nrelative_tolerance = 0.1", "expected = 1.2\nrelative_tolerance_of_excess = 0.1"
    )
    near, far = [1.2155, 1.216, 1.2165], [1.223, 1.224, 1.225]
    assert judge(claim(body), rates(a=near, b=near), "standard").verdict == "supported"
    judgement = judge(claim(body), rates(a=far, b=far), "standard")
    assert judgement.verdict == "refuted"  # within 10 % of the rate itself
    assert judgement.settings["a"].target == "1.2 ± 10 % of its excess over 1"


def paired(batch, none, summary="median", seeds=11):
    evidence = by_seed("steps", batch, norm="batch") + by_seed("steps", none, norm="none")
    body = PAIRED.format(summary=summary)
    return judge(claim(body, rule="paired_effect", family="training", seeds=seeds), evidence, "standard")


@pytest.mark.parametrize("summary", ["mean", "median"])
@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.5, "supported"), (2.0, "refuted"), (1.0, "refuted"), (10**-0.1, "inconclusive")]
)
def test_paired_effect(summary, factor, verdict):
    wobble = itertools.cycle([0.99, 1.01, 1.0, 1.02, 0.98])
    judgement = paired([factor * w * next(wobble) for w in WIDE], WIDE, summary)
    assert judgement.verdict == verdict
    assert judgement.effect == pytest.approx(-math.log10(factor), abs=0.02)
    assert judgement.interval.low <= judgement.effect <= judgement.interval.high


def test_paired_effect_p_is_the_sign_flips():
    assert paired([w / 2 for w in WIDE], WIDE).p == 2.0**-11


def test_replicas_that_never_arrive_count_as_failures():
    arrives_late = paired([100.0] * 11, [INF] * 9 + [300, 400])
    assert (arrives_late.verdict, arrives_late.effect) == ("supported", INF)
    diverges = paired([NAN] * 9 + [100, 100], [100.0] * 11)
    assert (diverges.verdict, diverges.effect) == ("refuted", -INF)
    assert any("9 of 11 seeds hold a failure" in text for text in diverges.warnings)
    neither = paired([INF] * 11, [NAN] * 11)
    assert (neither.verdict, neither.effect) == ("refuted", 0.0)
    assert paired([100.0] * 11, [INF] * 9 + [300, 400], "mean").verdict == "inconclusive"


def test_arms_on_different_seeds_do_not_pair():
    evidence = by_seed("steps", WIDE, norm="batch") + by_seed("steps", [*WIDE, 150], norm="none")[1:]
    body = PAIRED.format(summary="median")
    judgement = judge(claim(body, rule="paired_effect", family="training"), evidence, "standard")
    assert any("different seeds" in text for text in judgement.warnings)


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"),
    [(0.0, 0.01, "supported"), (0.2, 0.01, "refuted"), (-0.2, 0.01, "refuted"), (0.0, 0.3, "inconclusive")],
)
def test_equivalence(shift, spread, verdict):
    none = [0.9] * 11
    batch = [0.9 + shift + spread * (-1) ** i for i in range(11)]
    evidence = by_seed("accuracy", batch, norm="batch") + by_seed("accuracy", none, norm="none")
    rule = claim(EQUIVALENT, rule="equivalent", family="training")
    assert judge(rule, evidence, "standard").verdict == verdict


@pytest.mark.parametrize(("seeds", "verdict"), [(5, "inconclusive"), (6, "refuted")])
def test_difference_beyond_the_margin_is_looked_for_on_both_sides(seeds, verdict):
    evidence = by_seed("accuracy", [0.9] * seeds, norm="batch") + by_seed("accuracy", [0.5] * seeds, norm="none")
    rule = claim(EQUIVALENT, rule="equivalent")
    assert judge(rule, evidence, "standard").verdict == verdict  # twice 2^-5 is more than 5 %


findings = st.sampled_from(["supported", "refuted", "inconclusive"])


@given(st.lists(findings, min_size=1, max_size=6), st.randoms())
def test_combination_does_not_depend_on_order(verdicts, random):
    shuffled = random.sample(verdicts, len(verdicts))
    assert combine([Finding(v) for v in verdicts]) == combine([Finding(v) for v in shuffled])


@given(st.lists(findings, min_size=1, max_size=6))
def test_combination_follows_the_definition(verdicts):
    found = combine([Finding(v) for v in verdicts])
    some_each_way = "supported" in verdicts and "refuted" in verdicts
    assert (found == "supported") == all(v == "supported" for v in verdicts)
    assert (found == "refuted") == all(v == "refuted" for v in verdicts)
    assert (found == "setting-dependent") == some_each_way


def test_combined_p_is_corrected_over_the_settings_where_only_some_must_hold():
    some = [Finding("supported", p=0.01), Finding("refuted", p=0.02), Finding("inconclusive", p=0.4)]
    assert combined_p("setting-dependent", some) == pytest.approx(0.06)
    assert combined_p("supported", [Finding("supported", p=0.01), Finding("supported", p=0.03)]) == 0.03
    assert combined_p("supported", [Finding("supported", p=0.01), Finding("supported")]) is None
    unmeasured = [*some[:2], Finding("inconclusive")]
    assert combined_p("setting-dependent", unmeasured) == pytest.approx(0.06)  # it could have provided the smallest p
    assert combined_p("setting-dependent", [Finding("supported", p=0.01), Finding("refuted")]) is None
    with pytest.raises(ValueError, match="no primary"):
        combine([])


TWO_SETTINGS = """
[claim.parameters]
metric = "steps"
better = "lower"
scale = "log10-ratio"
smallest_effect = 0.1
[[claim.settings]]
name = "deep"
case = { depth = 20 }
arms = { subject = { norm = "batch" }, baseline = { norm = "none" } }
[[claim.settings]]
name = "shallow"
case = { depth = 5 }
arms = { subject = { norm = "batch" }, baseline = { norm = "none" } }
"""


def by_depth(deep, shallow):
    evidence = []
    for depth, factor in ((20, deep), (5, shallow)):
        evidence += by_seed("steps", [factor * w for w in WIDE], depth=depth, norm="batch")
        evidence += by_seed("steps", WIDE, depth=depth, norm="none")
    return judge(claim(TWO_SETTINGS, rule="paired_effect", family="training"), evidence, "standard")


@pytest.mark.parametrize(
    ("deep", "shallow", "verdict"),
    [
        (0.5, 0.5, "supported"),
        (0.5, 1.0, "setting-dependent"),  # supported in one, equivalent to none in the other
        (0.5, 2.0, "setting-dependent"),  # one each way
        (1.0, 1.0, "refuted"),
        (2.0, 1.0, "refuted"),
        (0.5, 10**-0.1, "inconclusive"),  # an effect that just matters is not ruled out
    ],
)
def test_a_setting_where_the_effect_is_ruled_out_counts_as_refuted(deep, shallow, verdict):
    judgement = by_depth(deep, shallow)
    assert judgement.verdict == verdict
    assert list(judgement.map) == ["deep", "shallow"]
    if verdict == "setting-dependent":
        assert judgement.map == {"deep": "supported", "shallow": "refuted"}
        assert judgement.to_dict()["map"] == judgement.map
        assert judgement.p == 2 * 2.0**-11


def test_a_setting_dependent_verdict_is_corrected_even_where_a_setting_was_not_measured():
    body = TWO_SETTINGS + TWO_SETTINGS[TWO_SETTINGS.index("[[claim.settings]]") :].split("[[claim.settings]]")[1].join(
        ["[[claim.settings]]", ""]
    ).replace('"deep"', '"deeper"').replace("20", "50")
    evidence = []
    for depth, factor in ((20, 0.5), (5, 2.0)):
        evidence += by_seed("steps", [factor * w for w in WIDE], depth=depth, norm="batch")
        evidence += by_seed("steps", WIDE, depth=depth, norm="none")
    judgement = judge(claim(body, rule="paired_effect", family="training"), evidence, "standard")
    assert (judgement.verdict, judgement.p) == ("setting-dependent", 3 * 2.0**-11)
    (lost,) = correct_family([judgement], 60)
    assert lost.verdict == "inconclusive"


def test_family_correction_counts_claims_that_were_not_judged():
    judgement = paired([w / 2 for w in WIDE], WIDE)
    (kept,) = correct_family([judgement], 60)
    assert (kept.verdict, kept.p_adjusted) == ("supported", pytest.approx(60 / 2**11))
    (lost,) = correct_family([judgement], 200)
    assert lost.verdict == "inconclusive"
    assert "after Holm's correction for 200 claims" in lost.warnings[0]


def test_family_correction_leaves_theory_alone():
    theory = judge(claim(THEORY), rates(a=around(2), b=around(2)), "standard")
    undecided = paired(WIDE[:5], WIDE[:4])
    assert correct_family([theory, undecided], 60) == [theory, undecided]


@pytest.mark.parametrize("evidence", [[], rates(a=around(2), b=[1.0, NAN, 2.0])])
def test_to_dict_is_strict_json(evidence):
    text = json.dumps(judge(claim(CONTROLLED), evidence, "standard").to_dict(), allow_nan=False)
    assert json.loads(text)["settings"]["a"]["primary"] is True


def test_to_dict_names_what_json_has_no_number_for():
    found = paired([100.0] * 11, [INF] * 9 + [300, 400]).to_dict()
    assert found["effect"] == "Infinity"
    assert found["settings"]["only"]["interval"][1] == "Infinity"


def test_a_claim_is_judged_on_its_own_seeds_whatever_else_was_measured():
    """A shared case may hold the seeds of a more demanding claim; the first ones alone count."""
    body = """
[claim.parameters]
metric = "rate"
expected = 2.0
relative_tolerance = 0.1
[[claim.settings]]
name = "a"
case = { arm = "a" }
"""
    entry = claim(body, seeds=3)
    few = by_seed("rate", [2.0, 2.01, 1.99], arm="a")
    many = by_seed("rate", [2.0, 2.01, 1.99, 9.0, 9.0], arm="a")
    assert judge(entry, many, "standard").to_dict() == judge(entry, few, "standard").to_dict()
    assert judge(entry, many, "standard").n == 3
