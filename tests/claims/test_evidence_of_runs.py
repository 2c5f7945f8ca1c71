"""Judging several runs at once, what claims took, repetition on fresh seeds, and the number that is followed."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_evidence import by_seed, claim

from ics_bench.claims import Evidence, Finding, judge, judge_runs, seconds_by_claim, tracked_arms, tracked_value
from ics_bench.claims import family as family_module
from ics_bench.claims.finding import MissingEvidenceError
from ics_bench.claims.repetition import FRESH_FROM, FRESH_TO, STRIDE, Repetition, first_seeds, fresh_first_seed
from ics_bench.claims.rules import RULES
from ics_bench.claims.rules.shortfall import LEAST, MOST
from ics_bench.core import Case, CaseRecord, UsageError
from ics_bench.execution.plan import MAX_SEED, MAX_SEEDS

BODY = """
[claim.parameters]
metric = "rate"
expected = 2.0
relative_tolerance = 0.1
[[claim.settings]]
name = "a"
case = {{ arm = "{arm}" }}
[[claim.controls]]
name = "still"
case = {{ arm = "still" }}
parameters = {{ expected = 1.0 }}
"""
TWO, ONE = [1.99, 2.0, 2.01], [0.99, 1.0, 1.01]


def theory(name, arm, tier="standard"):
    return claim(BODY.format(arm=arm), id=name, tier=tier)


def rates(values, arm):
    return by_seed("rate", values, arm=arm)


@pytest.fixture
def catalogue(monkeypatch):
    found = (theory("shallow", "a"), theory("deep", "b", "full"), theory("unseen", "c"))
    monkeypatch.setattr(family_module, "load_catalogue", lambda: found)
    return found


@pytest.mark.usefixtures("catalogue")
def test_a_run_that_holds_all_that_a_claim_reads_goes_before_one_that_only_bears_on_it():
    part = (rates(ONE, "still"), "standard")
    whole = (rates(TWO, "a") + rates(ONE, "still"), "standard")
    ((judgement, place),) = judge_runs([part, whole], ["shallow"])
    assert (judgement.verdict, place) == ("supported", 1)


@pytest.mark.usefixtures("catalogue")
def test_each_claim_is_judged_on_the_first_run_that_may_judge_it():
    quick = (rates(ONE, "a") + rates(ONE, "b") + rates(ONE, "still"), "quick")
    shallow = (rates(TWO, "a") + rates(ONE, "still"), "standard")
    deep = (rates(TWO, "b") + rates(ONE, "still"), "full")
    for runs, places in (([quick, shallow, deep], [1, 2]), ([deep, quick, shallow], [2, 0])):
        found = judge_runs(runs, ["shallow", "deep"])
        assert [place for _, place in found] == places
        assert [(j.verdict, j.profile, j.tier) for j, _ in found] == [
            ("supported", "standard", "standard"),
            ("supported", "full", "full"),
        ]
    (alone, _) = judge_runs([quick], ["deep"])[0]
    assert (alone.verdict, alone.to_dict()["tier"]) == ("inconclusive", "full")
    assert alone.warnings[0] == "profile quick never judges; run: ics-bench claims deep"


@pytest.mark.usefixtures("catalogue")
def test_unless_named_only_claims_with_evidence_are_judged():
    only_a = (rates(TWO, "a"), "standard")
    assert [j.id for j, _ in judge_runs([only_a])] == ["shallow"]
    assert [j.id for j, _ in judge_runs([only_a], ["unseen"])] == ["unseen"]
    with pytest.raises(UsageError, match="no run to judge"):
        judge_runs([])


@pytest.mark.usefixtures("catalogue")
def test_evidence_of_two_runs_is_not_mixed():
    first, second = (rates(TWO, "a"), "standard"), (rates(ONE, "still"), "standard")
    ((judgement, _),) = judge_runs([first, second], ["shallow"])
    assert judgement.verdict == "inconclusive"


def record(seconds, **case):
    return CaseRecord("w", 1, Case.of(case), (0,), "measured", seconds=seconds)


def test_a_claim_took_what_its_cases_took_each_once(catalogue):
    records = [record(2.0, arm="a"), record(0.5, arm="still"), record(8.0, arm="b"), record(99.0, arm="z")]
    assert seconds_by_claim(catalogue, records) == {"shallow": 2.5, "deep": 8.5, "unseen": 0.5}


def judged(name, values, arm="a"):
    return judge(theory(name, arm), rates(values, arm) + rates(ONE, "still"), "standard")


def test_the_warnings_of_what_was_read_reach_the_judgement_each_once():
    def noted(value, *texts):
        found = rates(value, "a")
        return [replace(item, warnings=texts if item.seed in (0, 2) else ()) for item in found]

    plain = judge(theory("p", "a"), noted(TWO) + rates(ONE, "still"), "standard")
    assert not any("values of" in text for text in plain.warnings)
    warned = judge(theory("p", "a"), noted(TWO, "busy", "late") + rates(ONE, "still"), "standard")
    amount = len(TWO) + len(ONE)
    assert warned.warnings[-2:] == (f"2 of {amount} values of rate: busy", f"2 of {amount} values of rate: late")
    assert warned.verdict == plain.verdict


def test_warnings_that_differ_in_numbers_alone_are_one():
    items = [replace(item, warnings=(f"diverged at step {item.seed}",)) for item in rates(TWO, "a")]
    warned = judge(theory("p", "a"), items + rates(ONE, "still"), "standard")
    amount = len(TWO) + len(ONE)
    assert warned.warnings[-1] == f"{len(TWO)} of {amount} values of rate, such as: diverged at step 0"


def test_repetition_counts_how_often_verdicts_come_out_again():
    again = [[judged("p", TWO), judged("q", values)] for values in (TWO, ONE, TWO, TWO)]
    found = Repetition.of(dict(zip(first_seeds(50_000, 4), again, strict=True)))
    assert found.first_seeds == (50_000, 60_000, 70_000, 80_000)
    p, q = found.claims
    assert (p.repeated, p.share_registered) == (4, 1.0)
    assert list(q.verdicts.values()) == ["supported", "refuted", "supported", "supported"]
    assert (q.commonest, q.repeated, q.share_registered) == ("supported", 3, 0.75)
    assert (found.repeated, found.share_registered) == ((7, 8), 7 / 8)
    assert found.share_agreeing == found.share_agreeing_in_settings == (6 + 3) / 12
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["claims"][1]["verdicts"]["60000"] == "refuted"


def test_a_run_that_was_not_made_for_a_claim_does_not_count_for_it():
    found = Repetition.of({1: [judged("p", TWO), judged("q", ONE)], 2: [judged("p", ONE)]})
    p, q = found.claims
    assert (p.verdicts, q.verdicts) == ({1: "supported", 2: "refuted"}, {1: "refuted"})
    assert found.repeated == (1, 3)
    assert found.share_agreeing == 0.0
    lone = Repetition.of({1: [judged("p", TWO)]})
    assert math.isnan(lone.share_agreeing)
    assert json.loads(json.dumps(lone.to_dict(), allow_nan=False))["share_agreeing"] == "NaN"
    with pytest.raises(ValueError, match="no run"):
        Repetition.of({})


@given(st.integers(1, 1000))
def test_fresh_seeds_are_none_that_were_used_and_runs_do_not_meet(runs):
    base = fresh_first_seed(runs)
    seeds = first_seeds(base, runs)
    assert seeds[0] >= FRESH_FROM
    assert seeds[-1] + STRIDE <= FRESH_TO <= MAX_SEED - MAX_SEEDS
    assert all(later - earlier >= MAX_SEEDS for earlier, later in pairwise(seeds))


def test_fresh_seeds_differ():
    assert len({fresh_first_seed() for _ in range(20)}) > 15


def shortfall(rule, effect, unit="1", **parameters):
    return RULES[rule](**{"metric": "m", **parameters}).shortfall(Finding("inconclusive", effect=effect, unit=unit))


GAIN = {"better": "lower", "scale": "log10-ratio", "smallest_effect": 0.1}


def test_what_is_followed_by_rule():
    assert shortfall("paired_effect", 1.0, "decades", **GAIN) == pytest.approx(0.1)
    assert shortfall("paired_effect", -1.0, "decades", **GAIN) == pytest.approx(10.0)
    assert shortfall("interaction", 0.0, "decades", **GAIN) == 1.0
    assert shortfall("exceeds", 0.75, "difference", bound=1.0, direction="above") == pytest.approx(0.5)
    assert shortfall("exceeds", -0.75, "difference", bound=1.0, direction="above") == pytest.approx(2.0)
    assert shortfall("success", 1.0, claimed="most", at_least=1.0) < shortfall(
        "success", 0.5, claimed="most", at_least=1.0
    )
    assert shortfall("success", 1.0, claimed="few", at_least=1.0) > 1
    assert shortfall("within", 2.1, expected=2.0, relative_tolerance=0.1) == pytest.approx(0.5)
    assert shortfall("within", 2.2, expected=2.0, relative_tolerance=0.1) == pytest.approx(1.0)
    assert shortfall("within", 2.0, expected=2.0, relative_tolerance=0.1) == 0.01
    assert shortfall("within", 3.0, at_least=1.5) == pytest.approx(0.5)
    assert shortfall("within", 3.0, at_most=1.5) == pytest.approx(2.0)
    assert shortfall("within", 0.0, at_most=1e-12) == LEAST
    assert shortfall("within", -0.75, at_least=0.0) == pytest.approx(2.0)
    assert shortfall("printed_number", -2.0, printed=1.0, relative_tolerance=0.0) == pytest.approx(3.0)
    far = [shortfall("printed_number", -decades, printed=1.0, relative_tolerance=0.0) for decades in (40.0, 41.0)]
    assert 1 < far[0] < far[1] < MOST
    assert shortfall("equivalent", 0.02, better="lower", scale="difference", margin=0.04) == pytest.approx(0.5)
    ends = {"better": "lower", "low": 10.0, "high": 1000.0}
    assert shortfall("paired_range", 2.0, "decades", **ends) == 0.01
    assert shortfall("paired_range", 4.0, "decades", **ends) == pytest.approx(2.0)


EVERY = {
    "paired_effect": GAIN,
    "interaction": GAIN,
    "exceeds": {"bound": 1.0, "direction": "above"},
    "success": {"claimed": "most", "at_least": 1.0},
    "within": {"expected": 2.0, "relative_tolerance": 0.1},
    "printed_number": {"printed": 1.0, "relative_tolerance": 0.0},
    "equivalent": {"better": "lower", "scale": "difference", "margin": 0.04},
    "impossible": {"at_least": 1.0},
    "paired_range": {"better": "lower", "low": 10.0, "high": 1000.0},
}


@given(st.sampled_from(sorted(EVERY)), st.floats(), st.sampled_from(["decades", "difference", "1"]))
def test_what_is_followed_is_always_finite_and_positive(rule, effect, unit):
    value = shortfall(rule, effect, unit, **EVERY[rule])
    assert math.isfinite(value)
    assert value > 0


@given(
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.sampled_from(["decades", "difference"]),
    st.sampled_from(["lower", "higher"]),
)
def test_a_larger_effect_is_never_followed_by_a_larger_number(one, other, unit, better):
    values = [shortfall("paired_effect", x, unit, **{**GAIN, "better": better}) for x in sorted((one, other))]
    assert values[0] >= values[1]


def test_a_claim_registered_as_refuted_is_followed_the_other_way():
    entry = theory("p", "a")
    evidence = Evidence(rates([2.1, 2.1], "a"))
    assert tracked_value(entry, evidence, 2) == pytest.approx(0.5)
    fields = {**vars(entry), "registered": "refuted"}
    assert tracked_value(type(entry)(**fields), evidence, 2) == pytest.approx(2.0)
    assert {role: arm.pins["arm"] for role, arm in tracked_arms(entry).items()} == {"subject": "a"}


def test_a_claim_is_followed_on_a_smaller_case_where_it_says_so():
    entry = theory("p", "a")
    smaller = type(entry)(**{**vars(entry), "tracked": {"arm": "b", "depth": 3}})
    assert tracked_arms(smaller)["subject"].pins == Case.of(arm="b")
    evidence = Evidence(rates([2.1, 2.1], "a") + rates([2.2, 2.2], "b"))
    assert tracked_value(entry, evidence, 2) == pytest.approx(0.5)
    assert tracked_value(smaller, evidence, 2) == pytest.approx(1.0)
    assert smaller.primary[0].arms["subject"].pins == Case.of(arm="a")  # it is judged by what it was registered with


def test_what_has_no_effect_is_not_followed():
    with pytest.raises(MissingEvidenceError):
        tracked_value(theory("p", "a"), Evidence(rates([2.0, math.nan], "a")), 2)
    assert LEAST < 1 < MOST
