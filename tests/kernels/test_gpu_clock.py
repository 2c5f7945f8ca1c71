"""What a GPU's clock decides without a GPU: when to doubt, how long to replay, what the driver said."""

import os
import random
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from host_gpu import COMPILER, HostGpu
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.kernels import cuda_clock
from ics_bench.kernels.capacity import free_bytes, release
from ics_bench.kernels.cuda.copying import plan_copy
from ics_bench.kernels.cuda.geometry import Device
from ics_bench.kernels.cuda_clock import REPLAY_SECONDS, GpuSamples, disagreement, loops_for
from ics_bench.kernels.gpu_state import FIELDS, GpuState, look, parse
from ics_bench.kernels.gpus import VENDOR_BANDWIDTH, cooperating_bytes, device_of
from ics_bench.kernels.rotation import GPU_CACHE_FACTOR, MEBIBYTE, plan_sets
from ics_bench.kernels.spec import Problem, floor_bytes, roof_bytes


@pytest.mark.parametrize(
    ("cold", "doubted"), [(1.0, False), (1.029, False), (0.971, False), (1.031, True), (0.9, True)]
)
def test_two_ways_of_timing_that_differ_by_three_percent_are_doubted(cold: float, doubted: bool) -> None:
    found = disagreement([1e-3] * 31, [cold * 1e-3] * 11)
    assert bool(found) is doubted
    if doubted:
        assert "1e+03 µs" in found[0]


def test_samples_say_what_makes_a_time_doubtful() -> None:
    held = GpuState(1980.0, 2619.0, 650.0, 71.0, 0x24)
    samples = GpuSamples({"a": (1.0,), "b": (1.0,)}, {"a": (1.0,), "b": (1.2,)}, frozenset({"b"}), held)
    assert samples.warnings("a") == (
        "the GPU's clocks were held down by the power limit and its temperature, in software",
    )
    assert len(samples.warnings("b")) == 3
    assert "no CUDA graph" in samples.warnings("b")[1]
    assert samples.warnings("b") == (*held.warnings(), *samples.doubts("b"))


class Event:
    """A point in a queue that nothing works through: a second between any two."""

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing

    def record(self) -> None:
        return None

    def elapsed_time(self, end: "Event") -> float:
        return 1e3


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock run without a GPU."""
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: None)
    monkeypatch.setattr(cuda_clock, "WARM_UP_SECONDS", 1e-6)


def test_a_gpu_is_warm_before_cold_launches_and_is_looked_at_while_every_arm_works(
    no_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Properties:
        L2_cache_size, uuid = 1024, "1234"

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    cold, keep_busy = cuda_clock._cold, cuda_clock._keep_busy
    monkeypatch.setattr(cuda_clock, "_cold", lambda *arguments: (order.append("cold"), cold(*arguments))[1])
    monkeypatch.setattr(cuda_clock, "_keep_busy", lambda *arguments: (order.append("warm"), keep_busy(*arguments))[1])
    monkeypatch.setattr(cuda_clock, "look", lambda uuid: order.append("look") or GpuState(reasons=0))
    arms = {name: cuda_clock.Arm([lambda name=name: order.append(name)], capturable=False) for name in ("copy", "ours")}
    samples = cuda_clock.time_on_gpu(arms, random.Random(0), torch.device("cpu"))
    assert order.index("warm") < order.index("cold")
    assert set(order[-3:-1]) == {"copy", "ours"}
    assert order[-1] == "look"
    assert samples.state == GpuState(reasons=0)


def test_the_cache_is_displaced_by_reading() -> None:
    """Written lines would be written back while the kernel runs."""
    flush = torch.zeros(8)
    version = flush._version

    class Read(torch.overrides.TorchFunctionMode):
        seen: ClassVar[list[object]] = []

        def __torch_function__(self, function, types, args=(), kwargs=None):
            self.seen.append(function)
            return function(*args, **(kwargs or {}))

    with pytest.MonkeyPatch.context() as patch, Read():
        patch.setattr(torch.cuda, "Event", Event)
        patch.setattr(torch.cuda, "synchronize", lambda: None)
        assert len(cuda_clock._cold([lambda: None], flush)) == cuda_clock.COLD_ROUNDS
    assert Read.seen == [torch.Tensor.sum] * cuda_clock.COLD_ROUNDS
    assert flush._version == version


def test_memory_that_torch_keeps_for_later_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 80000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert free_bytes("cuda") == 1300
    emptied: list[None] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(None))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)  # another test's, whose pool needs a driver
    release("cpu")
    assert not emptied
    release("cuda")
    assert emptied


@given(st.floats(1e-7, 1.0), st.integers(1, 1000))
def test_a_replay_lasts_long_enough_and_not_much_longer(seconds: float, calls: int) -> None:
    loops = loops_for(seconds, calls)
    assert loops * calls * seconds >= REPLAY_SECONDS * 0.999
    assert loops == 1 or (loops - 1) * calls * seconds < REPLAY_SECONDS * 1.001


def test_a_working_set_inside_the_gpus_cache_is_labelled_and_one_of_three_caches_is_not() -> None:
    cache = 50 * MEBIBYTE
    trapped = plan_sets(20 * MEBIBYTE, cache, 40 * MEBIBYTE, GPU_CACHE_FACTOR)
    assert trapped.in_cache
    assert "no share of the copy is scored" in trapped.warnings()[0]
    cold = plan_sets(20 * MEBIBYTE, cache, 2**40, GPU_CACHE_FACTOR)
    assert cold.nbytes >= 3 * cache
    assert cold.warnings() == ()
    short = plan_sets(20 * MEBIBYTE, cache, 120 * MEBIBYTE, GPU_CACHE_FACTOR)
    assert "smaller than 3 ×" in short.warnings()[0]


def test_the_drivers_answer_is_read_and_what_it_does_not_tell_is_none() -> None:
    assert parse("1980, 2619, 512.31, 54, 0x0000000000000004") == GpuState(1980.0, 2619.0, 512.31, 54.0, 4)
    partial = parse("345, 3201, [N/A], 31, [N/A]")
    assert partial == GpuState(345.0, 3201.0, None, 31.0, None)
    assert partial.warnings() == ("whether the GPU's clocks were held down is not known",)
    assert parse("345, 3201, 70.1, 31, 0x0000000000000001").warnings() == ()  # idle is no fault


PROGRAM = f"""#!{sys.executable}
import sys
query = next(a for a in sys.argv if a.startswith("--query-gpu="))
if "event_reasons" in query:
    sys.exit("Field is not a valid field to query.")
assert sys.argv[sys.argv.index("-i") + 1] == "GPU-1234"
print("1755, 2619, 340.5, 48, 0x0000000000000000")
"""


def test_an_older_driver_is_asked_by_the_older_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert look("GPU-1234") == GpuState(1755.0, 2619.0, 340.5, 48.0, 0)
    program.write_text("#!/bin/sh\nexit 9\n")
    assert look("GPU-1234") == GpuState()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert look("GPU-1234") == GpuState()


def test_the_query_has_no_setting_in_it() -> None:
    assert all(field.partition(".")[0] in {"clocks", "power", "temperature"} for field in FIELDS)


class Properties:
    multi_processor_count, major = 132, 9
    shared_memory_per_block, shared_memory_per_block_optin = 49152, 232448


def test_the_roof_of_a_shape_follows_from_what_cooperating_blocks_hold() -> None:
    hopper = device_of(Properties)
    assert hopper == Device(132, True, 232448)
    assert cooperating_bytes(hopper) == 8 * (232448 + 256 * 1024)
    assert cooperating_bytes(Device(108, False, 166912)) == 166912 + 256 * 1024
    fits = Problem("group", "forward", (2, 320, 64, 64), "bfloat16", groups=32)
    beyond = Problem("instance", "forward", (2, 32, 128, 128, 128))
    assert roof_bytes(fits, cooperating_bytes(hopper)) == floor_bytes(fits)
    assert roof_bytes(beyond, cooperating_bytes(hopper)) == floor_bytes(beyond) + beyond.tensor_bytes


def test_only_gpus_by_their_full_name_have_a_datasheet() -> None:
    assert VENDOR_BANDWIDTH["NVIDIA H200"] == 4.8e12
    assert "NVIDIA H200 NVL" not in VENDOR_BANDWIDTH
    assert all(name.startswith("NVIDIA ") and 1e12 < speed < 1e13 for name, speed in VENDOR_BANDWIDTH.items())


@pytest.mark.parametrize("nbytes", [16, 16 * 511, 16 * 5000])
def test_our_copy_copies_every_byte_and_no_more(libraries: Path, nbytes: int) -> None:
    import shutil

    if shutil.which(COMPILER) is None:
        pytest.skip(f"building the kernels needs {COMPILER}")
    gpu = HostGpu(libraries, families=("copy",))
    source = torch.arange(nbytes, dtype=torch.int64).to(torch.uint8)
    aligned = gpu.empty_like(source).copy_(source)
    target = gpu.empty_like(source)
    gpu.run(plan_copy(nbytes), {"x": aligned, "y": target})
    assert target.equal(source)


def test_a_copy_of_part_of_a_vector_is_refused() -> None:
    for nbytes in (0, 8, 24):
        with pytest.raises(ValueError, match="multiple of 16"):
            plan_copy(nbytes)
