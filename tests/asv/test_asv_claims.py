import json
import math
import re

import pytest
from test_asv_suite import BENCHMARKS, discover

from ics_bench.asv import ClaimSuite
from ics_bench.asv.claims import _explain, benchmark_name, follow, tasks_for, version_of_claim
from ics_bench.claims import case_of, load_catalogue, select, tracked_arms
from ics_bench.execution.executors import parse_executor
from ics_bench.workloads import load_workload

CATALOGUE = load_catalogue()
CHEAP = select(CATALOGUE, ["init-1", "init-3", "init-4"])

THEIRS = """
from ics_bench.asv import ClaimSuite
from ics_bench.claims import load_catalogue, select


class Cheap(ClaimSuite):
    claims = select(load_catalogue(), ["init-1", "init-4"])


class Other(ClaimSuite):
    claims = select(load_catalogue(), ["init-3"])
"""


def suite(claims, base=ClaimSuite):
    return type("Suite", (base,), {"claims": claims})


def test_every_claim_is_discovered_without_torch():
    found, torch_imported = discover(BENCHMARKS)
    assert not torch_imported
    followed = {name: one for name, one in found.items() if name.startswith("claims.")}
    assert set(followed) == {f"claims.Claims.{benchmark_name(claim)}" for claim in CATALOGUE}
    assert len({one["version"] for one in followed.values()}) == len(CATALOGUE)
    assert len({one["setup_cache_key"] for one in followed.values()}) == 1
    for claim in CATALOGUE:
        assert claim.statement in followed[f"claims.Claims.{benchmark_name(claim)}"]["code"]


def test_names_are_different_and_pythons():
    names = [benchmark_name(claim) for claim in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"track_\w+", name) for name in names)


def test_a_case_that_claims_share_is_measured_once():
    tasks = tasks_for(CHEAP)
    assert len({task.key for task in tasks}) == len(tasks) == 3
    assert {task.seeds for task in tasks} == {(0, 1)}


def test_each_claim_becomes_a_finite_number():
    found = suite(CHEAP)()
    outcome = found.setup_cache()
    assert outcome["failed"] == {}
    assert json.loads(json.dumps(outcome)) == outcome
    for claim in CHEAP:
        value = getattr(found, benchmark_name(claim))(outcome)
        assert math.isfinite(value)
        assert value > 0
    assert outcome["values"]["init-1"] < 1  # within its tolerance
    assert outcome["values"]["init-4"] == pytest.approx(1 / 42, rel=0.05)  # refuted by 41 decades


@pytest.mark.full
def test_all_claims_become_finite_numbers():
    outcome = suite(CATALOGUE)().setup_cache()
    assert outcome["failed"] == {}
    assert outcome["values"].keys() == {claim.id for claim in CATALOGUE}
    assert all(0 < value < math.inf for value in outcome["values"].values())


def test_a_case_that_cannot_be_measured_fails_its_claim_and_no_other(monkeypatch):
    workload = type(__import__("ics_bench.workloads", fromlist=["x"]).load_workload("init_scale"))
    original = workload.skip

    def skip(self, case, device):
        return "not here" if case["init"] == "he" else original(self, case, device)

    monkeypatch.setattr(workload, "skip", skip)
    outcome = follow(CHEAP, parse_executor("inline"))
    assert set(outcome["values"]) == {"init-1", "init-4"}
    assert "not here" in outcome["failed"]["init-3"]
    found = suite(CHEAP)()
    with pytest.raises(RuntimeError, match="not here"):
        found.track_init_3(outcome)


def test_a_claim_keeps_its_version_until_its_meaning_changes():
    (claim,) = select(CATALOGUE, ["init-1"])
    version = version_of_claim(claim)
    reworded = {**vars(claim), "statement": "other words", "seeds": 5, "settings": claim.settings[:1]}
    assert version_of_claim(type(claim)(**reworded)) == version
    assert version_of_claim(type(claim)(**{**vars(claim), "registered": "refuted"})) != version
    other = type(claim)(**{**vars(claim), "settings": claim.settings[1:2] and CHEAP[1].settings})
    assert version_of_claim(other) != version


@pytest.mark.parametrize("claim", CATALOGUE, ids=lambda claim: claim.id)
def test_what_follows_a_claim_can_be_measured_and_gives_what_its_rule_reads(claim):
    for role, arm in tracked_arms(claim).items():
        workload, case = load_workload(arm.workload), case_of(claim, arm, "quick")
        assert case.matches(**arm.pins)
        assert workload.skip(case, "cpu") is None
        assert all(workload.applies(metric, case) for metric in claim.primary[0].rule.metrics_of(role))


def test_no_two_claims_are_followed_by_one_number():
    versions = [version_of_claim(claim) for claim in CATALOGUE]
    assert len(set(versions)) == len(versions)


def test_what_is_followed_on_cheaper_cases_says_so():
    tables = {claim.id: _explain(claim).splitlines() for claim in CATALOGUE}
    told = {name for name, lines in tables.items() if any(line.startswith("but with ") for line in lines)}
    assert told == {claim.id for claim in CATALOGUE if claim.tracked}
    assert "but with depth 3 for 5, 3 for 10, 4 for 20" in tables["ics-8"]
    assert "but with depth 6" in tables["deep-5"]


DEEPEST = {"depth": 20, "blocks": 50}
"""What following a claim of tier full may take: 50 blocks are looked at, and not trained, at the start."""


def test_no_commit_waits_for_nets_of_a_hundred_layers():
    for claim in select(CATALOGUE, [c.id for c in CATALOGUE if c.tier == "full"]):
        for arm in tracked_arms(claim).values():
            assert all(arm.pins[key] <= most for key, most in DEEPEST.items() if key in arm.pins), claim.id


def test_timings_are_no_regression_within_the_noise_of_a_machine():
    thresholds = json.loads((BENCHMARKS.parent / "asv.conf.json").read_text())["regressions_thresholds"]
    for claim in CATALOGUE:
        name = f"claims.Claims.{benchmark_name(claim)}"
        threshold = max(value for pattern, value in thresholds.items() if re.match(pattern, name))
        timed = {
            load_workload(arm.workload).metric(metric).kind == "timing"
            for role, arm in tracked_arms(claim).items()
            for metric in claim.primary[0].rule.metrics_of(role)
        }
        assert threshold == (0.3 if any(timed) else 0.01), claim.id


def test_a_suite_derived_from_another_follows_its_own_claims():
    parent = suite(CHEAP)
    child = suite(CHEAP[:1], parent)
    names = [name for name in dir(child) if name.startswith("track_") and getattr(child, name) is not None]
    assert names == ["track_init_1"]


def test_claims_survive_the_way_through_asv(project):
    project.write("benchmarks/x.py", THEIRS)
    done, commit = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    stored = project.results(commit)
    assert set(stored) == {"x.Cheap.track_init_1", "x.Cheap.track_init_4", "x.Other.track_init_3"}
    assert all(len(values) == 1 and 0 < values[0] < 1 for values in stored.values())
    _, again = project.run()
    assert set(project.compare(commit, again).values()) == {""}
