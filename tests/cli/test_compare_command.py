"""Stored results compared from the command line: real runs, files that asv and pytest-benchmark wrote themselves."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DRAWS = "plugin_workloads:DRAWS"

ASV_SUITE = """
import time

def time_same():
    time.sleep(0.02)

def time_slower():
    time.sleep({slower})

def time_fails():
    {fails}

def time_skipped():
    pass

def skip():
    raise NotImplementedError

time_skipped.setup = skip

def track_accuracy():
    return {accuracy}
track_accuracy.unit = "accuracy"

def track_same(case):
    return case * 0.5
track_same.params = [1, 2]

def peakmem_list():
    return [0] * 1000
"""

CONFIGURATION = {
    "version": 1,
    "project": "tiny",
    "repo": ".",
    "branches": ["HEAD"],
    "environment_type": "virtualenv",
    "launch_method": "forkserver",
    "benchmark_dir": "benchmarks",
    "results_dir": "results",
}


def run(*command, cwd, **environment):
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=180,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def asv_files(tmp_path_factory):
    """Files that asv wrote for two commits: the second is slower, less accurate, and has a benchmark that fails."""
    asv = Path(sys.executable).with_name("asv")
    if not asv.exists():
        pytest.skip("asv is not installed here: pip install 'ics-bench[test]'")
    folder = tmp_path_factory.mktemp("asv")
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks/__init__.py").touch()
    (folder / "asv.conf.json").write_text(json.dumps(CONFIGURATION))
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@e"]
    run("git", "init", "-q", cwd=folder)
    run(asv, "machine", "--yes", "--machine", "here", cwd=folder, HOME=str(folder))
    commits = []
    for values in (
        {"slower": 0.02, "fails": "pass", "accuracy": 0.94},
        {"slower": 0.04, "fails": "1 / 0", "accuracy": 0.70},
    ):
        (folder / "benchmarks/suite.py").write_text(ASV_SUITE.format(**values))
        run(*git, "add", "benchmarks", "asv.conf.json", cwd=folder)
        run(*git, "commit", "-qm", "c", cwd=folder)
        commits.append(run("git", "rev-parse", "HEAD", cwd=folder).strip())
        attributes = ("repeat=12", "rounds=1", "number=1", "warmup_time=0")
        run(
            asv, "run", "--environment", f"existing:{sys.executable}", "--set-commit-hash", commits[-1], "--machine",
            "here", "--record-samples", *(f"--attribute={each}" for each in attributes), cwd=folder, HOME=str(folder),
        )  # fmt: skip
    found = [next((folder / "results/here").glob(f"{commit[:8]}*.json")) for commit in commits]
    # The version of a benchmark is a hash of its source, which differs on purpose here.
    for file in found:
        content = json.loads(file.read_text())
        place = content["result_columns"].index("version")
        for row in content["results"].values():
            row[place] = "1"
        file.write_text(json.dumps(content))
    return found


def verdicts(path):
    content = json.loads(Path(path).read_text(), parse_constant=pytest.fail)
    return {result["name"]: result["verdict"] for result in content["results"]}


def test_asv_files_without_a_direction_are_reported_and_not_judged(command, asv_files):
    assert "NaN" in asv_files[0].read_text()  # asv's own mark of what was skipped
    done = command("compare", *asv_files, "--json", "d.json")
    found = verdicts("d.json")
    assert done.code == 2
    assert found["suite.time_fails"] == "error"
    assert {verdict for name, verdict in found.items() if name != "suite.time_fails"} == {"not judged"}
    assert "suite.time_skipped" not in found
    assert "say --better [REGEX=]lower" in done.out


def test_asv_files_with_directions(command, asv_files):
    done = command("compare", *asv_files, "--better", "lower", "--better", "accuracy=higher", "--json", "d.json")
    found = verdicts("d.json")
    assert found.pop("suite.time_fails") == "error"
    assert found.pop("suite.time_same") in ("no change", "inconclusive")  # as busy as the machine is
    assert found == {
        "suite.time_slower": "regression",
        "suite.track_same(1)": "no change",
        "suite.track_same(2)": "no change",
        "suite.track_accuracy": "inconclusive",  # two single numbers
        "suite.peakmem_list": "inconclusive",
    }
    assert done.code == 1
    assert "drift of the machine looks like a change" in done.out
    result = next(r for r in json.loads(Path("d.json").read_text())["results"] if r["name"] == "suite.track_accuracy")
    assert result["unit"] == "accuracy"


def test_numbers_said_to_be_deterministic_count(command, asv_files):
    for way, verdict in (("higher", "regression"), ("lower", "improvement")):
        command("compare", *asv_files, "--better", way, "--exact", "accuracy", "--json", "d.json")
        assert verdicts("d.json")["suite.track_accuracy"] == verdict


@pytest.fixture(scope="module")
def benchmark_files(tmp_path_factory):
    """What pytest-benchmark wrote about two states of a suite."""
    folder = tmp_path_factory.mktemp("pb")
    for name, slow in (("base", 0.02), ("head", 0.04)):
        (folder / "test_suite.py").write_text(
            "import time\n"
            f"def test_slower(benchmark): benchmark.pedantic(time.sleep, ({slow},), rounds=25)\n"
            "def test_same(benchmark): benchmark.pedantic(time.sleep, (0.02,), rounds=25)\n"
            "def test_once(benchmark): benchmark.pedantic(time.sleep, (0.001,), rounds=1)\n"
        )
        run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--benchmark-json={name}.json", cwd=folder)
    return folder / "base.json", folder / "head.json"


def test_pytest_benchmark_files(command, benchmark_files):
    done = command("compare", *benchmark_files, "--better", "lower", "--json", "d.json")
    found = verdicts("d.json")
    assert found.pop("test_suite.py::test_same") in ("no change", "inconclusive")  # as busy as the machine is
    assert found == {"test_suite.py::test_slower": "regression", "test_suite.py::test_once": "inconclusive"}
    assert done.code == 1
    assert command("compare", *reversed(benchmark_files), "--better", "lower", "--json", "d.json").code == 3
    assert verdicts("d.json")["test_suite.py::test_slower"] == "improvement"


def test_results_of_two_suites_have_nothing_in_common(command, asv_files, benchmark_files):
    Path("d.json").write_text('{"exit_code": 0}')
    done = command("compare", asv_files[0], benchmark_files[0], "--json", "d.json")
    assert (done.code, done.out) == (2, "")
    assert "have no benchmark in common; name two results of one tool: each names and stores" in done.err
    content = json.loads(Path("d.json").read_text())
    assert (content["exit_code"], content["results"]) == (2, [])
    assert "have no benchmark in common" in content["failures"][0]


def test_a_unit_of_asvs_is_kept_unless_it_is_a_second(asv_files, tmp_path):
    from ics_bench.gate.stored import Directions, read

    results = tmp_path / "results"
    (results / "here").mkdir(parents=True)
    copied = results / "here" / asv_files[0].name
    copied.write_bytes(asv_files[0].read_bytes())
    listed = {"suite.track_accuracy": {"unit": "milliseconds"}, "suite.time_same": {"unit": "seconds"}}
    (results / "benchmarks.json").write_text(json.dumps(listed))
    units = {entry.benchmark.name: entry.benchmark.unit for entry in read(copied, Directions()).entries}
    assert (units["suite.track_accuracy"], units["suite.time_same"]) == ("milliseconds", "s")


def changed(path, folder, change):
    """A copy of a file of pytest-benchmark's with something else in it."""
    content = json.loads(path.read_text())
    change(content)
    copy = folder / "changed.json"
    copy.write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["machine_info"]["cpu"].update(brand_raw="another"), "cpu "),
        (lambda c: c["machine_info"]["cpu"].update(count=1234), "cores "),
        (lambda c: c["machine_info"].update(python_version="3.9.1"), "python "),
    ],
)
def test_another_machine_is_incomparable_and_says_the_remedy(command, benchmark_files, tmp_path, change, said):
    other = changed(benchmark_files[0], tmp_path, change)
    done = command("compare", benchmark_files[0], other, "--better", "lower", "--json", "d.json")
    assert done.code == 2
    assert set(verdicts("d.json").values()) == {"incomparable"}
    assert f"incomparable: {said}" in done.out
    assert "measure both on one machine with the same versions, as ics-bench gate does" in done.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(version="6.0.0"), "upgrade ics-bench"),
        (lambda c: c.pop("version"), "is not what pytest-benchmark writes"),
        (lambda c: c.update(benchmarks=3), "is not what pytest-benchmark writes"),
        (lambda c: c["benchmarks"][0].pop("stats"), "is not what pytest-benchmark writes"),
        (lambda c: c["benchmarks"][0]["stats"].update(median=math.nan), "holds NaN or infinity"),
        (lambda c: c["benchmarks"].append(c["benchmarks"][0]), "twice"),
        (lambda c: c.pop("machine_info"), "JSON of neither asv nor pytest-benchmark"),
    ],
)
def test_files_that_are_not_whole(command, benchmark_files, tmp_path, change, said):
    done = command("compare", benchmark_files[0], changed(benchmark_files[0], tmp_path, change))
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_asv_files_of_another_version(command, asv_files, tmp_path):
    for version, said in ((3, "upgrade ics-bench"), (1, "asv update")):
        other = changed(asv_files[0], tmp_path, lambda c, v=version: c.update(version=v))
        done = command("compare", asv_files[0], other)
        assert (done.code, said in done.err) == (2, True)


def write_pickle(path):
    path.write_bytes(pickle.dumps({"commit_hash": "x"}))


def write_torch(path):
    import torch

    torch.save({"commit_hash": "x"}, path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_pickle, "is a pickle, and only JSON is read"),
        (write_torch, "such as a .pt file, and only JSON is read"),
        (lambda p: np.save(p.open("wb"), np.zeros(3)), "is a NumPy file"),
        (lambda p: p.write_text("[" * 200_000), "nested too deeply"),
        (lambda p: p.write_text('{"a": 1, "a": 2}'), "repeats a key"),
        (lambda p: p.write_text('{"a": ' + "9" * 5000 + "}"), "is no JSON"),
        (lambda p: p.write_text(""), "is no JSON"),
        (lambda p: p.write_text("{}"), "JSON of neither"),
        (lambda p: os.truncate(p, 300 << 20) if p.touch() is None else None, "has more than 256 MiB"),
    ],
    ids=["pickle", "torch", "numpy", "deep", "repeated", "number", "empty", "other", "huge"],
)
def test_what_is_no_result_is_refused(command, tmp_path, write, said):
    path = tmp_path / "file.json"
    write(path)
    done = command("compare", path, path)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "none.json"])
def test_names_that_are_no_results(command, name):
    assert command("compare", name, name).code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--better", "up"], "--better 'up' is not lower, higher"),
        (["--better", "=lower"], "is not lower, higher"),
        (["--better", "(=lower"], "is no regular expression"),
        (["--better", "tpyo=lower"], "--better 'tpyo' matches no benchmark; there is, for example"),
        (["--exact", "tpyo"], "--exact 'tpyo' matches no benchmark"),
    ],
)
def test_directions_that_say_nothing(command, benchmark_files, options, said):
    done = command("compare", *benchmark_files, *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.fixture
def our_runs(command):
    """Two runs of a workload on 16 seeds; the second is a copy, for a test to spoil."""
    assert command("run", DRAWS, "--seeds", "16", "--executor", "inline", "--out", "a").code == 0
    assert command("run", DRAWS, "--seeds", "16", "--executor", "inline", "--out", "b").code == 0
    return Path("a"), Path("b")


def spoil(folder, change, header=lambda h: None):
    lines = [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]
    for line in lines:
        change(line)
    (folder / "measurements.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = json.loads((folder / "run.json").read_text())
    header(content)
    (folder / "run.json").write_text(json.dumps(content))


def shift(by, size=None):
    def change(line):
        for m in line["measurements"]:
            if m["metric"] == "draw" and (size is None or line["case"]["size"] == size):
                m["value"] += by

    return change


def declare_effect(content):
    for metric in content["workloads"][DRAWS]["metrics"]:
        if metric["name"] == "draw":
            metric["smallest_effect"] = 0.02


def test_equal_runs_have_not_changed_at_all(command, our_runs):
    done = command("compare", *our_runs, "--json", "d.json")
    assert done.code == 0
    assert set(verdicts("d.json").values()) == {"no change"}
    assert len(verdicts("d.json")) == 3  # one headline metric has a direction, in three cases
    assert "equal to the last bit on 16 seeds" in Path("d.json").read_text()


def test_runs_are_paired_by_seed_in_their_own_direction(command, our_runs):
    for folder in our_runs:
        spoil(folder, lambda line: None, declare_effect)
    spoil(our_runs[1], shift(-0.1, size=2))
    assert command("compare", *our_runs, "--json", "d.json").code == 1
    assert sorted(verdicts("d.json").values()) == ["no change", "no change", "regression"]
    assert command("compare", *reversed(our_runs), "--json", "d.json").code == 0
    assert sorted(verdicts("d.json").values()) == ["improvement", "no change", "no change"]


def test_a_metric_of_all_seeds_is_compared_by_the_one_of_each_seed(command, our_runs):
    def one_number(line):
        of_all = {**line["measurements"][0], "metric": "all_draws", "seed": None, "value": 1.0}
        of_all.pop("curve", None)
        line["measurements"].append(of_all)

    def declare(content):
        declare_effect(content)
        metrics = content["workloads"][DRAWS]["metrics"]
        (draw,) = (metric for metric in metrics if metric["name"] == "draw")
        metrics.append({**draw, "name": "all_draws", "of_each_seed": "draw"})

    for folder in our_runs:
        spoil(folder, one_number, declare)
    spoil(our_runs[1], shift(-0.1, size=2))
    done = command("compare", *our_runs, "--json", "d.json")
    assert done.code == 1, done.err
    found = [verdict for name, verdict in verdicts("d.json").items() if name.endswith("all_draws")]
    assert sorted(found) == ["no change", "no change", "regression"]


def test_a_change_without_a_smallest_effect_is_inconclusive(command, our_runs):
    spoil(our_runs[1], shift(-0.1))
    done = command("compare", *our_runs)
    assert done.code == 3
    assert "no smallest effect that matters is declared" in done.out


def test_a_diverged_seed_on_head_alone_is_a_regression(command, our_runs):
    def diverge(line):
        line["measurements"][0]["value"] = "NaN"

    spoil(our_runs[1], diverge)
    assert command("compare", *our_runs).code == 1


def test_runs_of_other_versions_of_a_workload_do_not_compare(command, our_runs):
    spoil(our_runs[1], lambda line: line.update(version=2))
    done = command("compare", *our_runs)
    assert done.code == 2
    assert "version '1 " in done.out


def test_runs_on_other_libraries_or_threads_do_not_compare(command, our_runs):
    for change in (
        lambda c: c["environment"]["packages"].update(torch="1.0"),
        lambda c: c["environment"]["variables"].update(OMP_NUM_THREADS="64"),
        lambda c: c["environment"].update(cores_usable=99),
        lambda c: c["settings"].update(device="cuda"),
    ):
        before = (our_runs[1] / "run.json").read_text()
        spoil(our_runs[1], lambda line: None, change)
        done = command("compare", *our_runs, "--json", "d.json")
        assert (done.code, set(verdicts("d.json").values())) == (2, {"incomparable"})
        (our_runs[1] / "run.json").write_text(before)


def test_another_commit_is_what_compare_is_for(command, our_runs):
    def move_on(content):
        content["environment"]["source"] = {"commit": "f" * 40, "dirty": True}
        content["environment"]["packages"]["ics-bench"] = "99.0"

    spoil(our_runs[1], lambda line: None, move_on)
    done = command("compare", *our_runs)
    assert done.code == 0
    assert "b (ffffffffffff)" in done.out
    assert "uncommitted changes" in done.out


def test_a_case_that_failed_on_head_is_an_error_and_one_that_is_gone_is_missing(command, our_runs):
    def fail(line):
        if line["case"]["size"] == 1:
            line.update(status="failed", reason="RuntimeError: no", measurements=[])

    spoil(our_runs[1], fail)
    lines = (our_runs[1] / "measurements.jsonl").read_text().splitlines(keepends=True)
    (our_runs[1] / "measurements.jsonl").write_text("".join(lines[:-1]))
    done = command("compare", *our_runs, "--json", "d.json")
    assert done.code == 2
    assert sorted(verdicts("d.json").values()) == ["error", "missing", "no change"]
    assert "unfinished" in done.out


def test_directions_are_not_for_our_own_runs(command, our_runs):
    done = command("compare", *our_runs, "--better", "lower")
    assert (done.code, "runs say themselves which way is better" in done.err) == (2, True)


def test_outputs_of_compare(command, our_runs, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("w.toml").write_text("[[waiver]]\nbenchmark = '.*'\nreason = 'known'\nexpires = 2999-01-01\n")
    spoil(our_runs[1], lambda line: line["measurements"][0].update(value="NaN"))
    written = ["--json", "d.json", "--markdown", "d.md", "--junit", "d.xml", "--report", "page"]
    done = command("compare", *our_runs, *written, "--waivers", "w.toml")
    assert done.code == 0
    assert "regression, accepted" in done.out
    assert "accepted: known" in Path("summary.md").read_text()
    for file in ("d.json", "d.md", "d.xml", "page/index.html"):
        assert Path(file).stat().st_size
        assert file in done.out
