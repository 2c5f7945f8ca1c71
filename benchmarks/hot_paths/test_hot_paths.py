"""How long the hot paths of ics-bench take; a suite for pytest-benchmark, apart from the tests and unseen by asv.

``python -m pytest benchmarks/hot_paths --benchmark-json after.json``, then
``ics-bench compare before.json after.json --better lower``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ics_bench.claims import Evidence, judge, load_catalogue, select
from ics_bench.core import Case, CaseRecord, Curve, Measurement
from ics_bench.gate.decision import decide
from ics_bench.gate.series import Benchmark, Observation, Pair
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.spec import Problem
from ics_bench.report import write_report
from ics_bench.results import store
from ics_bench.results.run import Run
from ics_bench.training import Recipe, Replica, Trainer
from ics_bench.workloads.lr_ceiling import WORKLOAD

REPORTS = Path(__file__).parents[2] / "reports"

Timer = Callable[..., Any]
"""The fixture of pytest-benchmark."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that a busy second core matters less."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("replicas", [1, 16])
def test_replica_step(benchmark: Timer, norm: str, replicas: int) -> None:
    """Ten steps of a net of depth 10, of one replica and of many together."""
    base = WORKLOAD.cases("quick")[0]
    problem = WORKLOAD.problem(Case.of({**base, "depth": 10, "norm": norm}), "cpu")
    trainer = Trainer(problem, Recipe(steps=10))
    together = [Replica(1e-3, seed) for seed in range(replicas)]
    trainer.train(together)  # chooses how replicas are run together
    found = benchmark(trainer.train, together)
    assert not any(trajectory.diverged for trajectory in found)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize(("norm", "shape"), [("batch", (8, 64, 28, 28)), ("layer", (512, 768)), ("rms", (512, 768))])
def test_cpu_kernel(benchmark: Timer, norm: str, direction: str, shape: tuple[int, ...]) -> None:
    """Kernels of PyTorch."""
    provider = load_provider("torch_eager")
    problem = Problem(norm, direction, shape)
    kernel = provider.prepare(problem, draw(problem, "normal", 0))
    benchmark(kernel)


def record(place: int) -> CaseRecord:
    """Make a record of usual size: five seeds, three metrics, curves of a hundred points."""
    case = Case.of(depth=place, norm="batch")
    curve = Curve(tuple(map(float, range(100))), tuple(math.sin(x) for x in range(100)), "step")
    measurements = tuple(
        Measurement("w", case, seed, name, seed / 7, "1", curve) for seed in range(5) for name in ("a", "b", "c")
    )
    return CaseRecord("w", 1, case, tuple(range(5)), "measured", "", 1.0, measurements)


def test_store_append(benchmark: Timer, tmp_path: Path) -> None:
    """Append a record, to the disk."""
    store.create_folder(tmp_path / "run", {"settings": {}, "environment": {}, "plan": [], "workloads": {}})
    records = (record(place) for place in range(10**9))
    with store.Writer(tmp_path / "run") as writer:
        benchmark(lambda: writer.append(next(records)))


def test_store_read(benchmark: Timer, tmp_path: Path) -> None:
    """Read a hundred records."""
    store.create_folder(tmp_path / "run", {"settings": {}, "environment": {}, "plan": [], "workloads": {}})
    with store.Writer(tmp_path / "run") as writer:
        for place in range(100):
            writer.append(record(place))
    assert len(benchmark(store.read_records, tmp_path / "run")) == 100


def test_judge(benchmark: Timer) -> None:
    """Judge all claims that a kept run is the evidence for."""
    run = Run.open(REPORTS / "claims" / "history")
    claims, evidence = select(load_catalogue(), run.settings["claims"]), Evidence(run.measurements())
    found = benchmark(lambda: [judge(claim, evidence, run.profile) for claim in claims])
    assert len(found) == len(claims) > 3


class Noise:
    """Measures nothing: equal sides with noise of ten percent, drawn anew from one seed."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def __call__(self, names: Sequence[str], pairs: int) -> dict[str, list[Pair]]:
        """Draw pairs."""
        times = np.exp(0.07 * self._generator.normal(size=(len(names), pairs, 2, 2)))
        return {
            name: [Pair(*(Observation(wall, cpu) for wall, cpu in pair)) for pair in rows.tolist()]
            for name, rows in zip(names, times, strict=True)
        }


def test_gate_decision(benchmark: Timer) -> None:
    """Decide about 32 benchmarks, all looks included."""
    declared = [Benchmark(f"time_{place}", "timing", "s", "lower") for place in range(32)]
    decision = benchmark(lambda: decide(declared, declared, Noise()))
    assert len(decision.results) == 32


def test_report_rendering(benchmark: Timer, tmp_path: Path) -> None:
    """Render the page of a kept run."""
    run = Run.open(REPORTS / "claims" / "history")
    page = benchmark(write_report, [run], tmp_path / "page")
    assert page.exists()
