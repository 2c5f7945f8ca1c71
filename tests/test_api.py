from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import ics_bench
from ics_bench.core import UsageError

SUBJECTS = "plugin_workloads:SUBJECTS"


def double(num_features: int) -> object:
    """A factory given as an object."""
    import plugin_workloads

    return plugin_workloads.doubling_norm(num_features)


def test_run_returns_what_the_command_line_writes(workplace, command):
    run = ics_bench.run("plugin_workloads:DRAWS", cases={"size": range(1, 3)}, seeds=2, out="api")
    command(
        "run", "plugin_workloads:DRAWS", "--case", "size=1", "--case", "size=2", "--executor", "inline", "--out", "cli"
    )
    pd.testing.assert_frame_equal(run.frame(), ics_bench.Run.open("cli").frame())
    assert run.complete
    assert run.folder == Path("api")


def test_a_norm_given_as_an_object_goes_by_its_definition(workplace):
    run = ics_bench.run(SUBJECTS, norm=[double, "none"])
    values = run.frame().query("metric == 'output'").set_index("norm")["value"]
    assert values["test_api:double"] == pytest.approx(2 * values["none"])
    assert run.folder.exists()


def test_two_objects_of_one_name_are_refused(workplace):
    def factory(scale):
        def build(num_features):
            return double(num_features)

        return build

    with pytest.raises(UsageError, match="two norms go by the name"):
        ics_bench.run(SUBJECTS, norm=[factory(1), factory(2)])


def test_an_object_cannot_travel_to_other_processes(workplace):
    with pytest.raises(UsageError, match="pass it so, or use 'inline'"):
        ics_bench.run(SUBJECTS, norm=double, executor="local")


@pytest.mark.parametrize(
    "wrong",
    [{"executor": "cloud"}, {"seeds": 0}, {"profile": "quik"}, {"cases": {"sise": 1}}, {"norm": "bacth"}],
    ids=str,
)
def test_what_is_wrong_is_found_before_a_folder_is_made(workplace, wrong, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError):
        ics_bench.run(SUBJECTS, **wrong)
    assert sorted(tmp_path.iterdir()) == before


def test_failed_cases_are_not_silent(workplace):
    with pytest.warns(UserWarning, match="1 of 2 cases failed, the first with 'ArithmeticError"):
        run = ics_bench.run("plugin_workloads:DYING", cases={"how": ["raises", "well"]})
    assert [record.case["how"] for record in run.failed] == ["raises"]


def test_judge_reads_a_run(workplace):
    run = ics_bench.run("init_scale", cases={"draws": "numpy-legacy-42"})
    judgements = ics_bench.judge(run)
    assert "init-4" in {judgement.id for judgement in judgements}
    assert {judgement.verdict for judgement in judgements} == {"inconclusive"}  # quick never judges
    assert [judgement.id for judgement in ics_bench.judge(run, "init-4")] == ["init-4"]


def test_unknown_attributes_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ics_bench.nothing


def test_a_script_can_use_it(workplace):
    code = "import ics_bench, json; r = ics_bench.run('plugin_workloads:DRAWS'); print(json.dumps(len(r.frame())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == 3 * (2 * 2 + 1)
