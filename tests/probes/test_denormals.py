"""Subnormal numbers are kept inside the context, and the setting outside it is the caller's."""

import os
import subprocess
import sys

import pytest
import torch

from ics_bench.probes.denormals import denormals_kept, flushes_denormals


@pytest.fixture
def flushing():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("flushing")
def test_flushing_is_seen_lifted_and_put_back():
    assert flushes_denormals()
    with denormals_kept() as kept:
        assert kept
        assert not flushes_denormals()
    assert flushes_denormals()


@pytest.mark.usefixtures("flushing")
def test_flushing_is_put_back_after_an_error():
    def failing():
        with denormals_kept():
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        failing()
    assert flushes_denormals()


def test_keeping_stays_keeping():
    with denormals_kept() as kept:
        assert kept
    assert not flushes_denormals()


POOL_STARTED_UNDER_FLUSHING = """
import sys, torch
torch.set_num_threads(2)
if not torch.set_flush_denormal(True):
    sys.exit("unsupported")
torch.ones(1 << 20).mul(2.0)  # the pool starts here and inherits the setting
from ics_bench.workloads.init_scale import WORKLOAD
case = WORKLOAD.cases("quick", {"depth": [4], "width": [8], "norm": ["none"]})[0]
warnings = {w for m in WORKLOAD.measure(case, [0], "cpu") for w in m.warnings}
print([w for w in warnings if "flushes" in w])
"""


def test_workers_that_started_under_flushing_are_reported():
    done = subprocess.run(
        [sys.executable, "-c", POOL_STARTED_UNDER_FLUSHING],
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "unsupported" in done.stderr:
        pytest.skip("this processor cannot flush subnormal numbers")
    assert "a worker thread flushes subnormal numbers" in done.stdout, done.stderr
