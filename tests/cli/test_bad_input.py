from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

DRAWS = "plugin_workloads:DRAWS"
SUBJECTS = "plugin_workloads:SUBJECTS"

WRONG = [
    (["rnu"], "unknown command 'rnu'; did you mean 'run'"),
    (["run", "--sedes", "3"], "No such option '--sedes'"),
    (["run", "init_scael"], "unknown workload 'init_scael'; did you mean 'init_scale'"),
    (["run", "nowhere_module:X"], "importing 'nowhere_module' failed"),
    (["run", DRAWS, "--profile", "quik"], "unknown profile 'quik'; did you mean 'quick'"),
    (["run", DRAWS, "--device", "gpu"], "unknown device 'gpu'"),
    (["run", DRAWS, "--seeds", "-1"], "seeds=-1: the number of seeds is between 1 and"),
    (["run", DRAWS, "--seeds", "0"], "seeds=0"),
    (["run", DRAWS, "--seeds", "many"], "'many' is not a valid int"),
    (["run", DRAWS, "--first-seed", "-5"], "first_seed=-5"),
    (["run", DRAWS, "--case", "sise=1"], "unknown case key of workload 'draws': 'sise'; did you mean 'size'"),
    (["run", DRAWS, "--case", "size=big"], "case key 'size': 'big' is not an integer"),
    (["run", DRAWS, "--case", "size=0"], "below the minimum 1"),
    (["run", DRAWS, "--case", "flavour=plane"], "did you mean 'plain'"),
    (["run", DRAWS, "--case", "size"], "--case 'size' is not KEY=VALUE"),
    (["run", DRAWS, "--case", "=1"], "is not KEY=VALUE"),
    (["run", DRAWS, "--case", "size="], "is not KEY=VALUE"),
    (["run", DRAWS, "--norm", "batch"], "unknown case key of workload 'draws': 'norm'"),
    (["run", "--norm", "bacth"], "unknown norm 'bacth'; did you mean 'batch'"),
    (["run", "lr_ceiling", "--case", "depth=1"], "below the minimum 2"),
    (["run", SUBJECTS, "--norm", "plugin_workloads:raising_norm"], "raised RuntimeError('no norm today')"),
    (["run", SUBJECTS, "--norm", "plugin_workloads:moduleless_norm"], "not a torch.nn.Module"),
    (["run", SUBJECTS, "--norm", "plugin_workloads:shapeless_norm"], "a norm keeps the shape"),
    (["run", SUBJECTS, "--norm", "plugin_workloads:nothing"], "has no 'nothing'"),
    (["run", "lr_ceiling", "--norm", "plugin_workloads:narrow_norm"], "num_features=64 raised ValueError('64 features"),
    (["run", "lr_ceiling", "--norm", "plugin_workloads:bfloat16_norm"], "a norm keeps the dtype"),
    (["run", "kernel_throughput", "--norm", "plugin_workloads:narrow_norm"], "'plugin_workloads:narrow_norm': ca"),
    (["run", SUBJECTS, "--model", "plugin_workloads:moduleless_model"], "not a torch.nn.Module"),
    (["run", DRAWS, "--executor", "cloud"], "unknown executor 'cloud'"),
    (["run", DRAWS, "--executor", "local:0"], "unknown executor 'local:0'"),
    (["run", "--resume"], "--resume needs --out DIR"),
    (["run", "--resume", "--out", "nowhere"], "'nowhere' holds no run"),
    (["show"], "Missing argument 'RUN'"),
    (["show", "nowhere"], "'nowhere' holds no run: run.json is missing"),
    (["export", "nowhere", "--format", "csv", "--out", "f"], "holds no run"),
    (["export", "nowhere", "--format", "xlsx", "--out", "f"], "unknown format 'xlsx'"),
    (["export", "nowhere", "--out", "f"], "Missing option '--format'"),
    (["report", "nowhere", "--out", "d"], "holds no run"),
    (["report", "--out", "d"], "Missing argument"),
    (["list", "nroms"], "unknown section 'nroms'; did you mean 'norms'"),
    (["claims", "lr-99"], "unknown claim 'lr-99'"),
    (["claims", "--run", "nowhere"], "holds no run"),
    (["claims", "--run", "nowhere", "--profile", "quick"], "--profile says how to measure; with --run"),
    (["claims", "lr-1", "--profile", "quik"], "unknown profile 'quik'"),
    (["claims", "lr-1", "--json", "nowhere/f"], "cannot be written"),
    (["claims", "lr-1", "--json", "/dev/null"], "is no regular file"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_bad_input_is_one_line_and_leaves_nothing(command, workplace, arguments, said):
    before = _files(workplace)
    done = command(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert _files(workplace) == before


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("out", ["exists", "a_file", "a_file/below", "empty", "x" * 300])
def test_an_output_folder_that_cannot_be_made(command, workplace, out):
    Path("a_file").write_text("mine")
    Path("empty").mkdir()
    Path("exists").mkdir()
    Path("exists/keep").touch()
    before = _files(workplace)
    done = command("run", DRAWS, "--executor", "inline", "--out", out)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: output folder {out!r}")
    assert _files(workplace) == before
    assert Path("a_file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission(command, workplace):
    (workplace / "closed").mkdir(mode=0o500)
    done = command("run", DRAWS, "--executor", "inline", "--out", "closed/run")
    assert done.code == 2
    assert "Permission denied" in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, where nobody may write, is Linux's")
def test_a_read_only_place(command):
    done = command("run", DRAWS, "--executor", "inline", "--out", "/proc/ics-bench-run")
    assert done.code == 2
    assert "output folder '/proc/ics-bench-run' cannot be made" in done.err


@pytest.mark.parametrize("verb", [["show"], ["run", "--resume", "--out"], ["claims", "--run"]], ids=" ".join)
def test_a_run_of_a_newer_schema(command, verb):
    command("run", DRAWS, "--executor", "inline", "--out", "r")
    header = json.loads(Path("r/run.json").read_text())
    Path("r/run.json").write_text(json.dumps({**header, "schema": 2}))
    done = command(*verb, "r")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: 'r' was written with schema 2; this version reads up to 1: upgrade ics-bench\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--seeds", "7"], "with seeds=None, not 7"),
        (["--profile", "standard"], "with profile='quick', not 'standard'"),
        (["--case", "size=2"], "with overrides={}"),
        (["plugin_workloads:BULKY"], "with workloads="),
    ],
)
def test_resume_under_other_settings(command, option, said):
    command("run", DRAWS, "--executor", "inline", "--out", "r")
    done = command("run", *option, "--resume", "--out", "r", "--executor", "inline")
    assert done.code == 2
    assert said in done.err
    assert "start a new run" in done.err


def test_cuda_without_a_gpu(command):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = command("run", DRAWS, "--device", "cuda", "--out", "r")
    assert done.code == 2
    assert "device 'cuda': torch finds no CUDA device here" in done.err
    assert not Path("r").exists()


def test_a_plug_in_that_breaks_where_nobody_foresaw(command):
    done = command("run", "plugin_workloads:UNPLANNED", "--out", "r")
    assert (done.code, done.out) == (2, "")
    assert "plugin_workloads.py" in done.err
    assert done.err.splitlines()[-1].startswith("error: unexpected ZeroDivisionError: no cases today")
    assert not Path("r").exists()


def test_a_working_folder_that_is_gone(process, workplace):
    popen = process("run", DRAWS, prefix="import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')")
    out, err = popen.communicate(timeout=60)
    assert (popen.returncode, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
