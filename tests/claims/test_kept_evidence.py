"""Every claim is judged on the kept evidence, of which every commit measures another slice again."""

import dataclasses
import math

import pytest
from kept_evidence import ROOT, disagreements, measure_again, revision, same_here, slice_of

from ics_bench.claims import (
    as_evidence,
    judge_run,
    judge_runs,
    load_catalogue,
    metrics_read,
    select,
)
from ics_bench.core import Case, CaseRecord, Measurement
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import start
from ics_bench.results.run import Run

CATALOGUE = load_catalogue()
KEPT, FRESH = (
    [Run.open(path.parent) for path in sorted((ROOT / "reports" / name).glob("*/run.json"))]
    for name in ("claims", "fresh_seeds")
)

each_run = pytest.mark.parametrize("kept", KEPT, ids=lambda run: run.folder.name)

BORNE_SECONDS = 20.0
"""A run whose cheapest case took longer is measured again by ``pytest -m full`` alone."""


def dear(run):
    return [pytest.mark.full] if min(record.seconds for record in run.measured) > BORNE_SECONDS else []


def claims_of(run):
    """What a run is the evidence for."""
    return select(CATALOGUE, run.settings["claims"])


@pytest.fixture(scope="module")
def judgements():
    return judge_kept(KEPT)


def judge_kept(runs):
    """Judge what there is a run for; return judgement and run by claim."""
    ids = tuple(claim.id for run in runs for claim in claims_of(run))
    found = judge_runs([(run.measurements(), run.profile) for run in runs], ids) if ids else []
    return {judgement.id: (judgement, runs[place]) for judgement, place in found}


def test_no_claim_has_two_kept_runs():
    ids = [claim.id for run in KEPT for claim in claims_of(run)]
    assert len(ids) == len(set(ids))


@each_run
def test_kept_runs_are_whole_and_on_the_seeds_of_the_registered_verdicts(kept):
    assert kept.complete
    assert not kept.failed
    assert kept.settings["first_seed"] == 0


@pytest.mark.parametrize("claim", CATALOGUE, ids=lambda claim: claim.id)
def test_verdict_on_the_kept_evidence_is_the_registered_one(judgements, claim):
    judgement, run = judgements[claim.id]
    assert claim in claims_of(run)
    evidence = {name: (finding.verdict, finding.effect) for name, finding in judgement.settings.items()}
    assert judgement.verdict == claim.registered, (evidence, judgement.warnings)
    assert {finding.verdict for finding in judgement.controls.values()} <= {"supported"}


@pytest.mark.parametrize("first_seed", sorted({run.settings["first_seed"] for run in FRESH}))
def test_the_verdicts_repeat_on_the_kept_fresh_seeds(first_seed):
    assert first_seed > 0
    found = judge_kept([run for run in FRESH if run.settings["first_seed"] == first_seed])
    verdicts = {name: judgement.verdict for name, (judgement, _) in found.items()}
    registered = {claim.id: claim.registered for claim in CATALOGUE if claim.id in verdicts}
    assert verdicts == registered
    assert verdicts.keys() >= {claim.id for claim in CATALOGUE if claim.tier == "standard"}


@pytest.mark.parametrize("kept", [pytest.param(run, marks=dear(run), id=run.folder.name) for run in KEPT])
def test_a_slice_that_changes_from_commit_to_commit_is_measured_again(kept):
    exact = same_here(kept)
    for record in slice_of(kept, revision()):
        metrics = metrics_read(select(CATALOGUE, kept.settings["claims"]), record)
        found = disagreements(record, measure_again(record), metrics, exact)
        assert not found, (record.key, found)


CHEAP = "init-4"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A run of a cheap claim, in the place of deep evidence."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    with start(Settings(profile="standard", claims=(CHEAP,)), folder) as session:
        return session.measure(parse_executor("inline"))


def test_what_was_measured_here_agrees_to_the_bit_and_a_changed_number_does_not(stand_in):
    assert same_here(stand_in)
    claims = select(load_catalogue(), [CHEAP])
    # In float32 the numbers are 0 and NaN, which have no neighbour to be mistaken for.
    record = next(record for record in stand_in.measured if record.case["dtype"] == "float64")
    again = measure_again(record)
    metrics = metrics_read(claims, record)
    assert metrics == {"final_std": False}
    assert disagreements(record, again, metrics, exact=True) == []
    moved = tuple(dataclasses.replace(m, value=math.nextafter(m.value, 0)) for m in record.measurements)
    (found,) = disagreements(dataclasses.replace(record, measurements=moved), again, metrics, exact=True)
    assert found.startswith("final_std of seed None")


def test_what_is_kept_of_a_run_is_all_that_judging_it_takes(tmp_path):
    ids = (CHEAP, "init-1")
    with start(Settings(profile="standard", claims=ids), tmp_path / "run") as session:
        run = session.measure(parse_executor("inline"))
    kept = [as_evidence(CATALOGUE, record) for record in run.records]
    reduced = [measurement for record in kept for measurement in record.measurements]
    assert 0 < len(reduced) < len(list(run.measurements()))
    assert judge_run(reduced, "standard", ids) == judge_run(run.measurements(), "standard", ids)


def test_the_slice_depends_on_the_commit(stand_in):
    drawn = {tuple(record.key for record in slice_of(stand_in, f"commit {salt}")) for salt in range(30)}
    assert len(drawn) > 3
    assert slice_of(stand_in, "one") == slice_of(stand_in, "one")


def test_evidence_of_another_version_is_not_compared(stand_in):
    (record,) = slice_of(stand_in, "a", amount=1)
    with pytest.raises(AssertionError, match="another version"):
        measure_again(dataclasses.replace(record, version=record.version + 1))


@pytest.mark.parametrize(
    ("kept_values", "again", "agree"),
    [
        ([1.0, 2.0, 3.0], [1.5, 2.5, 2.9], True),
        ([1.0, 2.0, 3.0], [3.1, 3.15, 4.0], True),  # 3 and a tenth of 2
        ([1.0, 2.0, 3.0], [3.3, 3.4, 3.5], False),
        ([1.0, math.inf, math.inf], [2.0, math.inf, math.inf], True),
        ([1.0, 2.0, math.inf], [2.0, math.inf, math.inf], True),  # one of the kept ones is infinite, too
        ([1.0, 2.0, 3.0], [2.0, math.inf, math.inf], False),
        ([math.inf, math.inf, math.inf], [2.0, 3.0, math.inf], False),
        ([1.0, math.nan, math.nan], [math.nan, math.nan, math.nan], True),
        ([1.0, 2.0, 3.0], [math.nan, math.nan, math.nan], False),
    ],
)
def test_on_another_machine_the_median_stays_within_the_spread(kept_values, again, agree):
    def record(values):
        case = Case.of(depth=1)
        found = tuple(Measurement("init_scale", case, s, "forward_rate", v, "1") for s, v in enumerate(values))
        return CaseRecord("init_scale", 1, case, tuple(range(len(values))), "measured", measurements=found)

    found = disagreements(record(kept_values), record(again), {"forward_rate"}, exact=False)
    assert (found == []) == agree
