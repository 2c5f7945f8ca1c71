from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from ics_bench.core import UsageError
from ics_bench.execution.executors import Executor, inline, parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import default_folder, resume, start
from ics_bench.results import store
from ics_bench.results.run import Run

INLINE = parse_executor("inline")
SETTINGS = Settings(("plugin_workloads:DRAWS",), overrides={"flavour": ("plain", "odd")})


def complete(folder, settings=SETTINGS) -> Run:
    with start(settings, folder) as session:
        return session.measure(INLINE)


def first(count: int) -> Executor:
    """An executor that is interrupted after ``count`` cases."""

    def some(tasks):
        for number, record in enumerate(inline(tasks)):
            if number == count:
                raise KeyboardInterrupt
            yield record

    return Executor("inline", 1, some)


def interrupted(folder, count: int, settings=SETTINGS) -> None:
    with start(settings, folder) as session, pytest.raises(KeyboardInterrupt):
        session.measure(first(count))
    assert session.kept() == count


def edit_header(folder, change) -> None:
    header = json.loads((folder / store.RUN_FILE).read_text())
    change(header)
    (folder / store.RUN_FILE).write_text(json.dumps(header))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_finished_run_equals_an_uninterrupted_one(workplace, count):
    whole = complete(workplace / "whole")
    interrupted(workplace / "torn", count)
    with (workplace / "torn" / store.RECORDS_FILE).open("ab") as file:
        file.write(b'{"workload":"plugin')
    assert not Run.open(workplace / "torn").complete
    with resume(workplace / "torn") as session:
        assert len(session.tasks) == 6 - count
        run = session.measure(INLINE)
    assert run.complete
    assert run.header["finished"]
    pd.testing.assert_frame_equal(run.frame(), whole.frame())


def test_the_header_says_how_and_where(workplace):
    run = complete(workplace / "run")
    header = json.loads((workplace / "run" / store.RUN_FILE).read_text(), parse_constant=pytest.fail)
    assert header == run.header
    assert header["settings"]["profile"] == "quick"
    assert header["workloads"]["plugin_workloads:DRAWS"]["seeds"] == [0, 1]
    assert header["workloads"]["plugin_workloads:DRAWS"]["threads"] == 1
    assert header["workloads"]["plugin_workloads:DRAWS"]["flush_denormal"] is False
    assert header["environment"]["cores_usable"] >= 1
    assert header["sessions"][0]["executor"] == "inline"
    assert len(header["sessions"][0]["load_average"]) == 3
    assert header["created"] <= header["finished"]


def test_resuming_a_finished_run_measures_nothing(workplace):
    whole = complete(workplace / "run")
    before = (workplace / "run" / store.RUN_FILE).read_bytes()
    with resume(workplace / "run") as session:
        assert session.tasks == []
        pd.testing.assert_frame_equal(session.measure(INLINE).frame(), whole.frame())
    assert (workplace / "run" / store.RUN_FILE).read_bytes() == before


def test_failed_cases_are_tried_again(workplace):
    settings = Settings(("plugin_workloads:DYING",), overrides={"how": ("raises", "well")})
    run = complete(workplace / "run", settings)
    assert (len(run.failed), run.complete, run.header["finished"]) == (1, False, None)
    with resume(workplace / "run") as session:
        assert [task.case["how"] for task in session.tasks] == ["raises"]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"seeds": 7}, "seeds"),
        ({"first_seed": 3}, "first_seed"),
        ({"profile": "standard"}, "profile"),
        ({"overrides": {"flavour": ("odd",)}}, "overrides"),
        ({"workloads": ("plugin_workloads:BULKY",)}, "workloads"),
    ],
)
def test_other_settings_are_refused_by_name(workplace, asked, name):
    interrupted(workplace / "run", 1)
    before = {path: path.read_bytes() for path in (workplace / "run").iterdir()}
    with pytest.raises(UsageError, match=f"was started with {name}="):
        resume(workplace / "run", asked)
    assert {path: path.read_bytes() for path in (workplace / "run").iterdir()} == before


def test_the_same_settings_may_be_said_again_in_other_words(workplace):
    interrupted(workplace / "run", 1, replace(SETTINGS, overrides={"size": (1, 2)}))
    with resume(workplace / "run", {"overrides": {"size": ("01", "2")}, "workloads": SETTINGS.workloads}) as session:
        assert len(session.tasks) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h["environment"].update(cpu="an abacus"), "cannot be resumed here: cpu: an abacus then"),
        (lambda h: h["environment"]["packages"].update(torch="1.0"), "torch: 1.0 then"),
        (lambda h: h["environment"].update(cores=1024), "cores: 1024 then"),
        (lambda h: h["environment"].update(gpu=["H200"]), "none now"),
        (lambda h: next(iter(h["workloads"].values())).update(version=9), "other declarations"),
        (lambda h: next(iter(h["workloads"].values()))["metrics"][0].update(better="lower"), "other declarations"),
        (lambda h: h["plan"].pop(), "other declarations"),
        (lambda h: h.update(schema=99), "schema 99"),
        (lambda h: h["settings"].pop("seeds"), "settings are broken"),
    ],
)
def test_other_hardware_versions_or_declarations_are_refused(workplace, change, said):
    interrupted(workplace / "run", 1)
    edit_header(workplace / "run", change)
    with pytest.raises(UsageError, match=said):
        resume(workplace / "run")
    with pytest.raises(UsageError, match=said):  # and the lock was given back
        resume(workplace / "run")


def test_a_corrupt_record_is_set_aside_and_its_case_measured_again(workplace):
    whole = complete(workplace / "run").frame()
    path = workplace / "run" / store.RECORDS_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40] + b"\n" + b"".join(lines[2:]))
    with pytest.raises(UsageError, match="line 2 is corrupt"):
        Run.open(workplace / "run")
    with resume(workplace / "run") as session:
        assert (session.set_aside, len(session.tasks)) == (1, 1)
        pd.testing.assert_frame_equal(session.measure(INLINE).frame(), whole)


def test_two_processes_cannot_hold_one_run(workplace):
    with start(SETTINGS, workplace / "run"), pytest.raises(UsageError, match="being written by another process"):
        resume(workplace / "run")
    with resume(workplace / "run") as session:
        assert len(session.tasks) == 6


def test_two_cases_with_one_identity_are_refused_before_the_folder(workplace):
    with pytest.raises(UsageError, match="2 cases have one identity"):
        start(Settings(("plugin_workloads:SAME",)), workplace / "run")
    assert not (workplace / "run").exists()


def test_default_folders_do_not_collide(workplace):
    names = set()
    for _ in range(3):
        folder = default_folder("quick")
        folder.mkdir(parents=True)
        names.add(folder)
    assert len(names) == 3
    assert {folder.parent.name for folder in names} == {"runs"}
