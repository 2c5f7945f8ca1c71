"""Every claim is judged on the kept evidence, of which every commit measures another slice again."""

import dataclasses
import math
import re
import subprocess
import sys

import pytest
from kept_evidence import ROOT, dear_cases, dear_slice_of, disagreements, measure_again, revision, same_here, slice_of

from ics_bench.claims import (
    Evidence,
    as_evidence,
    judge_run,
    judge_runs,
    load_catalogue,
    metrics_read,
    seconds_by_claim,
    select,
    tracked_value,
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

DOCUMENTED = (ROOT / "reports/README.md").read_text()

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


@pytest.mark.parametrize("kept", KEPT + FRESH, ids=lambda run: run.folder.name)
def test_kept_runs_come_from_a_commit(kept):
    assert kept.environment["source"]["commit"]
    assert not kept.environment["source"]["dirty"]


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
    quiet = next(run for run in FRESH if run.folder.name == "fourth")
    for timed in (run, quiet):
        assert seconds_by_claim(CATALOGUE, timed.records).get(claim.id, 0.0) <= claim.budget_seconds
    assert {finding.verdict for finding in judgement.controls.values()} <= {"supported"}


@pytest.mark.parametrize("claim", [claim for claim in CATALOGUE if not claim.tracked], ids=lambda claim: claim.id)
def test_two_seeds_of_the_kept_evidence_give_a_number_to_follow(claim):
    (run,) = [run for run in KEPT if claim.id in run.settings["claims"]]
    value = tracked_value(claim, Evidence(run.measurements()).first(2), 2)
    assert 0 < value < math.inf


@pytest.mark.parametrize("first_seed", sorted({run.settings["first_seed"] for run in FRESH}))
def test_what_repeats_on_the_kept_fresh_seeds_is_what_the_documentation_says(first_seed):
    assert first_seed > 0
    found = judge_kept([run for run in FRESH if run.settings["first_seed"] == first_seed])
    assert found.keys() >= {claim.id for claim in CATALOGUE if claim.tier == "standard"}
    others = {name for name, (judgement, _) in found.items() if not judgement.as_registered}
    assert {found[name][0].verdict for name in others} <= {"inconclusive"}
    (row,) = re.findall(rf"^\| {first_seed} \| (\d+) \| (\d+) \| (.*) \|$", DOCUMENTED, flags=re.MULTILINE)
    verdicts, repeated, told = row
    assert (int(verdicts), int(repeated)) == (len(found), len(found) - len(others))
    assert {claim.id for claim in CATALOGUE if re.search(rf"\b{claim.id}\b(?!-)", told)} == others


def test_the_table_of_historical_systems_is_what_the_kept_evidence_gives():
    script = ROOT / "benchmarks/historical_systems.py"
    made = subprocess.run(
        [sys.executable, script, *(run.folder for run in KEPT)], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "reports/historical_systems.md").read_text()
    assert "| `resnet_batch` | 152 | 13 of 13 |" in made.stdout


@pytest.mark.parametrize("kept", [pytest.param(run, marks=dear(run), id=run.folder.name) for run in KEPT])
def test_a_slice_that_changes_from_commit_to_commit_is_measured_again(kept):
    exact = same_here(kept)
    for record in slice_of(kept, revision()):
        metrics = metrics_read(select(CATALOGUE, kept.settings["claims"]), record)
        found = disagreements(record, measure_again(record), metrics, exact)
        assert not found, (record.key, found)


@pytest.mark.full
@each_run
def test_some_seeds_of_a_dear_case_are_measured_again(kept):
    drawn = dear_slice_of(kept, revision())
    if drawn is None:
        pytest.skip("every case of this run is cheap")
    record, seeds = drawn
    metrics = metrics_read(select(CATALOGUE, kept.settings["claims"]), record)
    found = disagreements(record, measure_again(record, seeds), metrics, exact=False)
    assert not found, (record.key, seeds, found)


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


def test_every_dear_case_can_be_drawn_and_compared_on_some_of_its_seeds(stand_in):
    assert dear_slice_of(stand_in, 0) is None
    deep = next(run for run in KEPT if run.folder.name == "deep")
    assert len({dear_slice_of(deep, salt)[0].key for salt in range(300)}) == len(deep.measured)
    for run in KEPT:
        for record in dear_cases(run):
            seeds = record.seeds[:2]
            some = tuple(m for m in record.measurements if m.seed in seeds)
            cut = dataclasses.replace(record, seeds=seeds, measurements=some)
            metrics = metrics_read(select(CATALOGUE, run.settings["claims"]), record)
            assert disagreements(record, cut, metrics, exact=False) == []
            lost = dataclasses.replace(cut, measurements=())
            assert disagreements(record, lost, metrics, exact=False)


def test_evidence_of_another_version_is_not_compared(stand_in):
    (record,) = slice_of(stand_in, "a", amount=1)
    with pytest.raises(AssertionError, match="another version"):
        measure_again(dataclasses.replace(record, version=record.version + 1))


def recorded(values, first=0):
    case, seeds = Case.of(depth=1), tuple(range(first, first + len(values)))
    found = tuple(
        Measurement("init_scale", case, s, "forward_rate", v, "1") for s, v in zip(seeds, values, strict=True)
    )
    return CaseRecord("init_scale", 1, case, seeds, "measured", measurements=found)


@pytest.mark.parametrize(("again", "agree"), [([2.9], True), ([9.0], False), ([math.nan], False)])
def test_some_seeds_again_are_held_against_the_span_of_all(again, agree):
    found = disagreements(recorded([1.0, 2.0, 3.0]), recorded(again, first=2), {"forward_rate"}, exact=True)
    assert (found == []) == agree


def test_exact_numbers_of_some_seeds_again_are_compared_seed_by_seed():
    def depths(values, first=0):
        record = recorded(values, first)
        exact = tuple(dataclasses.replace(m, metric="blocks") for m in record.measurements)
        return dataclasses.replace(record, workload="eras", measurements=exact)

    assert disagreements(depths([1.0, 2.0, 3.0]), depths([3.0], first=2), {"blocks"}, exact=False) == []
    assert disagreements(depths([1.0, 2.0, 3.0]), depths([2.5], first=2), {"blocks"}, exact=False)


def test_seeds_that_were_never_kept_disagree():
    assert disagreements(recorded([1.0, 2.0]), recorded([1.0], first=7), {"forward_rate"}, exact=False)


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
    found = disagreements(recorded(kept_values), recorded(again), {"forward_rate"}, exact=False)
    assert (found == []) == agree
