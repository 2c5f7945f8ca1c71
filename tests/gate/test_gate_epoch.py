"""What one process of the gate reports of the benchmarks that it runs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ics_bench.gate import epoch

SAMPLING = {"warmup_time": 0.0, "sample_time": 0.001, "repeat": [1, 3, 0.005]}


class Epoch:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "benchmarks").mkdir()
        (folder / "benchmarks" / "__init__.py").touch()
        (folder / "cwd").mkdir()

    def __call__(self, mode: str, **request: object) -> list[dict]:
        reading, writing = os.pipe()
        asked = {"mode": mode, "root": str(self.folder / "benchmarks"), "plugins": False, **request}
        child = subprocess.Popen(
            [sys.executable, epoch.__file__, str(writing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder / "cwd",
            pass_fds=(writing,),
        )
        os.close(writing)
        self.said, _ = child.communicate(json.dumps(asked).encode(), timeout=60)
        with open(reading) as answers:
            return [json.loads(line) for line in answers]

    def run(self, *ids: str, caches: dict | None = None, own: list | None = None, **more: object) -> dict[str, dict]:
        items = [{"id": name, "seeds": None} for name in ids]
        request = {"items": items, "caches": caches or {}, "own_caches": own or [], "sampling": SAMPLING}
        events = self("run", **{**request, "memory_of_objects": False, **more})
        assert events[-1] == {"event": "done"}, self.said.decode()
        self.order = [(event["event"], event.get("id")) for event in events]
        return {event["id"]: event for event in events if event["event"] == "end"}

    def suite(self, text: str) -> Epoch:
        (self.folder / "benchmarks" / "suite.py").write_text(text)
        return self


@pytest.fixture
def run_epoch(tmp_path):
    return Epoch(tmp_path)


def test_benchmarks_are_listed_with_what_they_declare(run_epoch):
    events = run_epoch.suite(
        """
class Work:
    params = [["x", "y"], [1, 2]]
    timeout = 7
    def time_work(self, letter, n):
        pass

def track_accuracy():
    return 0.5
track_accuracy.unit = "share"
track_accuracy.better = "higher"
track_accuracy.smallest_effect = 0.01
track_accuracy.version = "3"
"""
    )("discover")
    by_type = {event["type"]: event for event in events if event["event"] == "benchmark"}
    accuracy, work = by_type["track"], by_type["time"]
    assert accuracy["declared"] == {"better": "higher", "smallest_effect": 0.01}
    assert (accuracy["name"], accuracy["unit"], accuracy["version"]) == ("suite.track_accuracy", "share", "3")
    assert (work["params"], work["timeout"], work["declared"]) == ([["'x'", "'y'"], ["1", "2"]], 7, {})
    assert events[-1] == {"event": "done"}


def test_a_time_is_per_call_and_comes_with_the_processor_time_that_sleep_does_not_take(run_epoch):
    found = run_epoch.suite(
        """
import time

def time_sleep():
    time.sleep(0.01)

def time_spin():
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
"""
    ).run("suite.time_sleep", "suite.time_spin")
    for name in ("suite.time_sleep", "suite.time_spin"):
        assert found[name]["value"] >= 0.01
    assert found["suite.time_sleep"]["cpu"] < 0.002
    assert found["suite.time_spin"]["cpu"] > found["suite.time_sleep"]["cpu"]


@pytest.mark.parametrize("number", [0, 1, 7])
@pytest.mark.parametrize("setup", ["", "time_work.setup = lambda: None"])
def test_processor_time_is_per_call_however_calls_are_batched(run_epoch, number, setup):
    found = run_epoch.suite(
        f"""
import time

def time_work():
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
time_work.number = {number}
{setup}
"""
    ).run("suite.time_work")["suite.time_work"]
    assert 0.02 <= found["cpu"] < 0.04  # one call, neither none nor two
    assert found["value"] >= 0.02


def test_a_benchmark_is_set_up_and_torn_down_as_in_asv(run_epoch):
    run_epoch.suite(
        """
class Work:
    params = ["a", "b"]
    def setup(self, letter):
        print("setup", letter, flush=True)
        self.ready = letter
    def track_ready(self, letter):
        print("run", letter, flush=True)
        return ord(self.ready)
    def teardown(self, letter):
        print("teardown", letter, flush=True)
"""
    )
    found = run_epoch.run("suite.Work.track_ready-1", "suite.Work.track_ready-0")
    assert found["suite.Work.track_ready-1"]["value"] == ord("b")
    assert run_epoch.said.decode().split() == ["run", "b", "teardown", "b", "run", "a", "teardown", "a"]


def test_a_cache_is_read_from_where_it_was_left(run_epoch):
    run_epoch.suite(
        """
class Cached:
    def setup_cache(self):
        import os
        return {"made by": os.getpid()}
    def track_pid(self, cache):
        return cache["made by"]
    def track_own_pid(self, cache):
        import os
        return os.getpid()
"""
    )
    (listed, _) = (event for event in run_epoch("discover") if event["event"] == "benchmark")
    key = listed["cache"]
    assert run_epoch("cache", id="suite.Cached.track_pid") == [{"event": "done"}]
    left = {key: str(run_epoch.folder / "cwd")}
    kept = run_epoch.run("suite.Cached.track_pid", "suite.Cached.track_own_pid", caches=left)
    assert kept["suite.Cached.track_pid"]["value"] != kept["suite.Cached.track_own_pid"]["value"]
    own = run_epoch.run("suite.Cached.track_pid", "suite.Cached.track_own_pid", caches=left, own=[key])
    assert own["suite.Cached.track_pid"]["value"] == own["suite.Cached.track_own_pid"]["value"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise RuntimeError('no  luck')", "RuntimeError: no luck"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return {'a': 1}", "TypeError: returned dict {'a': 1}; the gate needs a number"),
        ("return True", "TypeError: returned bool True; the gate needs a number"),
        ("return None", "TypeError: returned NoneType None; the gate needs a number"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_what_fails_is_reported_and_the_next_one_runs(run_epoch, body, error):
    found = run_epoch.suite(
        f"""
def track_bad():
    {body}
def track_good():
    return 1
"""
    ).run("suite.track_bad", "suite.track_good")
    assert found["suite.track_bad"]["error"] == error
    assert found["suite.track_good"]["value"] == 1.0
    steps = [(event, name) for name in ("suite.track_bad", "suite.track_good") for event in ("begin", "end")]
    assert run_epoch.order[1:5] == steps


def test_a_benchmark_that_is_gone_fails_alone(run_epoch):
    found = run_epoch.suite("def track_good():\n    return 1\n").run("suite.track_gone", "suite.track_good")
    assert found["suite.track_gone"]["error"] == "ValueError: Could not find benchmark 'suite.track_gone'"
    assert found["suite.track_good"]["value"] == 1.0


def test_numbers_that_are_not_finite_are_numbers(run_epoch):
    found = run_epoch.suite(
        "def track_nan():\n    return float('nan')\ndef track_inf():\n    return float('inf')\n"
    ).run("suite.track_nan", "suite.track_inf")
    assert math.isnan(found["suite.track_nan"]["value"])
    assert found["suite.track_inf"]["value"] == math.inf


def test_a_skipped_benchmark_says_why(run_epoch):
    found = run_epoch.suite(
        """
def track_skipped():
    return 1
def setup():
    raise NotImplementedError("no GPU here")
track_skipped.setup = setup
"""
    ).run("suite.track_skipped")
    assert "no GPU here" in found["suite.track_skipped"]["skipped"]


def test_trajectories_by_seed_travel_with_their_last_values_median(run_epoch):
    run_epoch.suite(
        """
def track_loss():
    return 1 / 0  # what asv needs; the gate takes the trajectories
track_loss.by_seed = lambda: {0: [3.0, 1.0], 1: [3.0, float("inf")], 2: [2.0]}
track_loss.on_seeds = lambda seeds: {seed: [float(seed)] for seed in seeds}
"""
    )
    found = run_epoch.run("suite.track_loss")["suite.track_loss"]
    assert found["seeds"] == {"0": [3.0, 1.0], "1": [3.0, math.inf], "2": [2.0]}
    assert found["value"] == 2.0
    asked = run_epoch.run(items=[{"id": "suite.track_loss", "seeds": [7, 9]}])["suite.track_loss"]
    assert asked["seeds"] == {"7": [7.0], "9": [9.0]}


def test_peak_memory_is_this_programs_alone(run_epoch):
    """A process that a large one starts inherits its peak in what asv_runner reads."""
    run_epoch.suite("def peakmem_small():\n    pass\ndef peakmem_large():\n    return bytearray(50_000_000)\n")
    ballast = bytearray(b"x") * 100_000_000
    small = run_epoch.run("suite.peakmem_small")["suite.peakmem_small"]["value"]
    large = run_epoch.run("suite.peakmem_large")["suite.peakmem_large"]["value"]
    assert small < len(ballast) / 2
    assert 45e6 < large - small < 60e6


def test_the_projects_modules_are_not_hidden_by_the_gates(run_epoch):
    (run_epoch.folder / "benchmarks" / "suite.py").write_text(
        "import sys\ndef track_hidden():\n    return sum('ics_bench/gate' in folder for folder in sys.path)\n"
    )
    assert run_epoch.run("suite.track_hidden")["suite.track_hidden"]["value"] == 0


def test_garbage_is_not_collected_while_anything_is_measured(run_epoch):
    found = run_epoch.suite("import gc\ndef track_gc():\n    return gc.isenabled() + 0\n").run("suite.track_gc")
    assert found["suite.track_gc"]["value"] == 0


def test_an_environment_without_asv_runner_says_so(run_epoch, monkeypatch, tmp_path):
    (tmp_path / "asv_runner.py").write_text("raise ModuleNotFoundError('gone', name='asv_runner')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_epoch("discover")[0] == {"event": "lacking", "what": "asv_runner"}


def test_what_an_epoch_does_without_is_there_for_the_benchmarks(run_epoch):
    found = run_epoch.suite(
        """
def track_distributions():
    from importlib.metadata import distributions, version
    assert version("asv_runner")
    return len(list(distributions()))
def track_pympler():
    from pympler.asizeof import asizeof
    return asizeof([])
"""
    ).run("suite.track_distributions", "suite.track_pympler")
    assert found["suite.track_distributions"]["value"] > 5
    assert found["suite.track_pympler"]["value"] > 0


def test_sizes_of_objects_are_measured_where_pympler_is(run_epoch):
    found = run_epoch.suite("def mem_list():\n    return [0] * 1000\n").run("suite.mem_list", memory_of_objects=True)
    assert 8000 <= found["suite.mem_list"]["value"] < 9000
