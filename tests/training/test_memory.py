"""Peak memory grows linearly in replicas and stays within the stated budget."""

import subprocess
import sys
from pathlib import Path

import pytest

PEAK = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

from ics_bench.core import Case
from ics_bench.training import Recipe, Replica, Trainer, train
from ics_bench.training.train import bytes_per_replica
from ics_bench.workloads.lr_ceiling import WORKLOAD

count, budget = int(sys.argv[1]), int(sys.argv[2])
base = WORKLOAD.cases("quick")[0]
problem = WORKLOAD.problem(Case.of({**base, "depth": 10, "width": 128, "norm": "layer"}), "cpu")
recipe = Recipe(steps=2)
train(problem, [Replica(1e-4, 0)], recipe)
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far, and what was inherited of the parent's
before = peak()
Trainer(problem, recipe, memory_budget=budget).train([Replica(1e-4, seed) for seed in range(count)])
print(peak() - before, bytes_per_replica(problem, recipe, problem.build(0)))
"""


def growth(count, budget):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(count), str(budget)], capture_output=True, text=True, check=True
    )
    peak, estimate = map(int, done.stdout.split())
    return peak, estimate


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc")
def test_memory_is_linear_and_chunks_keep_to_the_budget():
    small, estimate = growth(24, 1 << 40)
    large, _ = growth(72, 1 << 40)
    assert 0.6 < (large / 72) / (small / 24) < 1.5
    assert large <= 1.3 * 72 * estimate

    chunked, _ = growth(72, 8 * estimate)
    assert chunked < 0.5 * large
