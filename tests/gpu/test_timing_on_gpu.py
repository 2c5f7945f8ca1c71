"""The GPU's clock on a GPU: its two ways of timing agree, and a working set in the cache is a trap that it sees."""

import random

import pytest
import torch

from ics_bench.kernels.clock import MIN_ROUNDS
from ics_bench.kernels.cuda_clock import COLD_ROUNDS, Arm, time_on_gpu
from ics_bench.kernels.cuda_throughput import copies_on_gpu
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.rotation import GPU_CACHE_FACTOR, plan_sets
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, Problem
from ics_bench.kernels.throughput import compare
from ics_bench.workloads import load_workload

DEVICE = torch.device("cuda")


def _copy_speed(nbytes: int, count: int) -> tuple[float, tuple[str, ...]]:
    """Bytes per second of a copy that goes round ``count`` pairs of buffers, read and written; and warnings."""
    calls, _ = copies_on_gpu(nbytes, count, DEVICE)
    samples = time_on_gpu({"copy": Arm(calls)}, random.Random(0), DEVICE)
    assert len(samples.seconds["copy"]) >= MIN_ROUNDS
    assert len(samples.cold["copy"]) == COLD_ROUNDS
    return 2 * nbytes / sorted(samples.seconds["copy"])[MIN_ROUNDS // 2], samples.warnings("copy")


def test_a_large_copy_takes_as_long_in_a_graph_as_launched_alone(clock_stream: None) -> None:
    _, warnings = _copy_speed(2**30, 2)
    assert not [warning for warning in warnings if "replayed in a graph" in warning]


def test_a_working_set_inside_the_cache_looks_too_fast_and_is_labelled(clock_stream: None) -> None:
    cache = torch.cuda.get_device_properties(DEVICE).L2_cache_size
    nbytes = cache // 8
    trapped, _ = _copy_speed(nbytes, 1)
    sets = plan_sets(2 * nbytes, cache, 2**34, GPU_CACHE_FACTOR)
    rotated, _ = _copy_speed(nbytes, sets.count)
    assert trapped > 1.15 * rotated
    assert plan_sets(2 * nbytes, cache, 2 * nbytes, GPU_CACHE_FACTOR).in_cache
    assert not sets.in_cache


def test_kernels_are_compared_in_one_run_and_the_gpus_state_is_recorded() -> None:
    providers = {name: load_provider(name) for name in ("cuda", "torch_eager")}
    problem = Problem("layer", "forward", (8192, 4096), "bfloat16")
    found = compare(providers, problem, seed=0, device="cuda", memory_bytes=2**34)
    assert set(found) == set(providers)
    # Torch's layer norm takes no float32 parameters beside bfloat16 here: it gets them rounded (`Provider.adapted`).
    assert providers["torch_eager"].adapted(problem, "cuda").parameter_dtype == "bfloat16"
    for timed in found.values():
        assert not timed.in_cache
        assert timed.state is not None
        assert timed.state.temperature_celsius is None or 0 < timed.state.temperature_celsius < 120
        assert timed.copy == found["cuda"].copy


def test_a_kernel_that_no_graph_can_hold_is_timed_with_its_launch_and_says_so() -> None:
    providers = {"cupy_arrays": load_provider("cupy_arrays")}
    found = compare(providers, Problem("layer", "forward", (1024, 1024)), 0, "cuda", 2**32)
    assert any("no CUDA graph holds" in warning for warning in found["cupy_arrays"].warnings)


@pytest.mark.parametrize("norm", KERNEL_NORMS)
@pytest.mark.parametrize("dtype", DTYPE_BYTES)
def test_torchs_kernels_run_forward_and_backward_and_are_timed(norm: str, dtype: str) -> None:
    """Whether they are within their bounds is theirs; that they take what they are given is ours."""
    shape = (512, 256) if norm in ("layer", "rms") else (16, 32, 14, 14)
    for direction in ("forward", "backward"):
        problem = Problem(norm, direction, shape, dtype, groups=2)  # type: ignore[arg-type]
        failures: dict[str, str] = {}
        found = compare({"torch_eager": load_provider("torch_eager")}, problem, 0, "cuda", 2**32, failures)
        assert not failures
        assert set(found) == {"torch_eager"}


@pytest.mark.parametrize("provider", ["cuda", "torch_eager"])
def test_the_workload_measures_on_a_gpu(provider: str) -> None:
    workload = load_workload("kernel_throughput")
    pins = {"norm": "layer", "shape": "8192x4096", "direction": "forward", "dtype": "bfloat16", "memory_mib": 8192}
    (case,) = workload.cases("quick", {name: (value,) for name, value in {**pins, "provider": provider}.items()})
    assert workload.skip(case, "cuda") is None
    found = {m.metric: m for m in workload.measure(case, [0], "cuda")}
    assert found["error_over_bound"].value <= 1
    assert 0 < found["copy_share"].value < 1.2
    assert "gpu_temperature" in found
