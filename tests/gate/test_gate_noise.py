"""Recording a machine's noise, and what cannot be recorded."""

import subprocess
import sys
from pathlib import Path

import pytest

from ics_bench.gate.recording import load_recordings

CALIBRATION = Path(__file__).parents[2] / "benchmarks/gate_calibration.py"


def test_noise_is_recorded_under_three_loads(project, gate, tmp_path):
    project.write("benchmarks/suite.py", "def time_sum():\n    sum(range(1000))\n\ndef track_x():\n    return 1\n")
    project.commit()
    file = tmp_path / "noise.json.gz"
    for _ in range(2):  # the second adds to the first
        done = gate("--calibrate", file, "--pairs", "1", "--budget", "0.001")
        assert done.code == 0, done.err
    found = load_recordings(file)
    assert [recording.load for recording in found] == 2 * ["quiet", "one busy core", "two busy cores"]
    assert {tuple(recording.benchmarks) for recording in found} == {("suite.time_sum",)}
    assert {recording.pairs for recording in found} == {1}


@pytest.mark.parametrize("when", ["always", "in some epochs"])
def test_a_benchmark_that_fails_is_named_and_nothing_is_recorded(project, gate, tmp_path, when):
    fails = "raise RuntimeError('out of luck')"
    if when != "always":  # neither the first look nor the first pairs see it
        ran = tmp_path / "ran"
        ran.mkdir()
        fails = f"if len(os.listdir({str(ran)!r})) > 8: {fails}"
        fails = f"pathlib.Path({str(ran)!r}, str(os.getpid())).touch()\n    {fails}"
    project.write(
        "benchmarks/suite.py",
        f"import os, pathlib\ndef time_sum():\n    sum(range(1000))\ndef time_luck():\n    {fails}\n"
        "time_luck.number = time_luck.repeat = 1\n",
    )
    project.commit()
    done = gate("--calibrate", tmp_path / "noise.json", "--pairs", "8", "--budget", "0.001")
    assert done.code == 2, done.out
    assert "'suite.time_luck' gave no time to record" in done.err
    assert "leave it out with --only" in done.err
    assert not (tmp_path / "noise.json").exists()


def test_numbers_that_vary_are_no_times(project, gate, tmp_path):
    project.write(
        "benchmarks/suite.py",
        "import random\ndef time_sum():\n    sum(range(1000))\ndef track_x():\n    return random.random() - 0.5\n",
    )
    project.commit()
    file = tmp_path / "noise.json"
    assert gate("--calibrate", file, "--pairs", "2", "--budget", "0.001").code == 0
    assert {name for recording in load_recordings(file) for name in recording.benchmarks} == {"suite.time_sum"}


def test_the_replay_says_what_it_cannot_use(project, gate, tmp_path):
    project.write("benchmarks/suite.py", "def time_sum():\n    sum(range(1000))\n")
    project.commit()
    few = tmp_path / "few.json"
    assert gate("--calibrate", few, "--pairs", "2", "--budget", "0.001").code == 0
    for file, said in ((tmp_path / "none.json", "cannot be read"), (few, "has a recording of 2 pairs, and the screen")):
        done = subprocess.run([sys.executable, CALIBRATION, file], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
