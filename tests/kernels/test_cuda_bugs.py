"""Bugs planted in the CUDA sources: the error bounds, the poison or the guards see each."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from host_gpu import COMPILER, SMALL_GPU, HostGpu, HostKernels

from ics_bench.kernels.check import check, run_once
from ics_bench.kernels.cuda import groups, rows
from ics_bench.kernels.cuda.geometry import Device
from ics_bench.kernels.cuda.operation import bind, prepare
from ics_bench.kernels.cuda.plan import plan
from ics_bench.kernels.cuda.source import FAMILIES as ALL_FAMILIES
from ics_bench.kernels.cuda.source import FOLDER, HEADERS
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.spec import Problem

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"building the kernels needs {COMPILER}")

WITHOUT_CLUSTERS = replace(SMALL_GPU, clusters=False)
FAMILIES = {
    "layer": ("row_norm", "long_rows", "partials"),
    "rms": ("row_norm", "long_rows", "partials"),
    "batch": ("channel_norm",),
    "group": ("group_norm", "channel_norm", "partials"),
}


def _make_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_THREADS", {"forward": 32, "backward": 32})
    monkeypatch.setattr(rows, "LONG_THREADS", 32)


def _plant(old: str, new: str) -> Callable[[str], str]:
    """Change what one of the sources holds."""
    assert any(old in (FOLDER / name).read_text() for name in (*HEADERS, *(f"{family}.cu" for family in ALL_FAMILIES)))
    return lambda text: text.replace(old, new)


def _gpu(libraries: Path, norm: str, bug: tuple[str, str] | None = None, device: Device = WITHOUT_CLUSTERS) -> HostGpu:
    gpu = HostGpu(libraries, device, FAMILIES[norm])
    if bug is not None:
        gpu.mutate = _plant(*bug)
    return gpu


MASKED_ROWS = ("squares += holds(k) ? vector : 0.0f;", "squares += vector;")
MASKED_CHUNKS = ("if (k >= valid) continue;\n#pragma unroll\n        for (int i = 0; i < V; ++i) {\n            "
                 "const float deviation", "for (int i = 0; i < V; ++i) {\n const float deviation")  # fmt: skip
LAST_PARTIAL = ("part < parts;", "part + 1 < parts;")
LAST_WARP = ("warp < warps; ++warp) sum +=", "warp + 1 < warps; ++warp) sum +=")
ROW_EPS = ("taken.m2[0] * share + eps", "taken.m2[0] * share")
CHANNEL_EPS = ("taken.m2[0] / taken.count + eps", "taken.m2[0] / taken.count")

REMOVED = "{}, w);\n#pragma unroll\n        for (int i = 0; i < V; ++i) {{\n            const float removed"
OFFSET = (REMOVED.format("offset"), REMOVED.format("0.0f"))

STREAM = ("if constexpr (R) out[i] += elsewhere[i];", "")
SUM = ("sum[i] = a[i] + b[i];", "sum[i] = a[i];")
SUM_AGAIN = ("chunks.template read_sum<R>(from, from_residual, number, held);\n#pragma unroll",
             "chunks.template read_sum<false>(from, from_residual, number, held);\n#pragma unroll")  # fmt: skip

VARIANT_BUGS = {
    "an offset of the weight forgotten where dx is written": (OFFSET, "zero_centered", "backward", 64, ("dx",)),
    "the stream's gradient not added": (STREAM, "residual", "backward", 64, ("dx",)),
    "the residual not added": (SUM, "residual", "forward", 64, ("y", "s")),
    "the residual not added in the second reading of a long row": (SUM_AGAIN, "residual", "forward", 2048, ("y",)),
}


@pytest.mark.parametrize(("bug", "option", "direction", "columns", "outputs"), VARIANT_BUGS.values(), ids=VARIANT_BUGS)
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_bug_in_a_variant_exceeds_the_bound(
    libraries: Path,
    monkeypatch: pytest.MonkeyPatch,
    norm: str,
    bug: tuple[str, str],
    option: str,
    direction: str,
    columns: int,
    outputs: tuple[str, ...],
) -> None:
    _make_narrow(monkeypatch)  # so that 2048 columns are chunks
    problem = Problem(norm, direction, (6, columns), "bfloat16", **{option: True})
    sound, broken = _gpu(libraries, norm), _gpu(libraries, norm, bug)
    assert max(run_once(HostKernels(sound), problem, "normal", 4, "cpu").values()) <= 1.0
    found = run_once(HostKernels(broken), problem, "normal", 4, "cpu")
    assert {name for name, value in found.items() if 1.0 < value < math.inf} >= set(outputs)


def test_a_stream_that_is_not_written_leaves_poison(libraries: Path) -> None:
    gpu = _gpu(libraries, "rms", ("if constexpr (R) held[k].store(stream + stretch.offset(k));", ""))
    found = run_once(HostKernels(gpu), Problem("rms", "forward", (6, 64), residual=True), "normal", 0, "cpu")
    assert found["s"] == math.inf
    assert found["y"] <= 1.0


BUGS = {
    "masked lanes not zeroed before a row's variance pass": (MASKED_ROWS, "layer", "forward", (3, 130), "offset", "y"),
    "masked lanes not zeroed before a channel's": (MASKED_CHUNKS, "batch", "forward", (33, 12), "offset", "y"),
    "the last block's share of dweight dropped": (LAST_PARTIAL, "rms", "backward", (50, 64), "normal", "dweight"),
    "rstd of a row without eps": (ROW_EPS, "rms", "forward", (3, 64), "small", "y"),
    "rstd of a channel without eps": (CHANNEL_EPS, "batch", "forward", (33, 12), "small", "y"),
    "rstd of a group without eps": (CHANNEL_EPS, "group", "forward", (3, 8, 4, 8), "small", "y"),
    "a group's planes' sums without the last warp's": (LAST_WARP, "group", "backward", (3, 8, 16, 32), "normal", "dx"),
}


@pytest.mark.parametrize(("bug", "norm", "direction", "shape", "kind", "output"), BUGS.values(), ids=BUGS)
def test_a_bug_in_a_kernel_exceeds_the_bound(
    libraries: Path, bug: tuple[str, str], norm: str, direction: str, shape: tuple[int, ...], kind: str, output: str
) -> None:
    problem = Problem(norm, direction, shape)
    sound, broken = _gpu(libraries, norm), _gpu(libraries, norm, bug)
    assert max(run_once(HostKernels(sound), problem, kind, 4, "cpu").values()) <= 1.0
    found = run_once(HostKernels(broken), problem, kind, 4, "cpu")[output]
    assert 1.0 < found < math.inf  # a wrong number, which only a bound can tell from a right one
    assert not check(HostKernels(broken), problem, seed=4, device="cpu").correct  # nor need one know where to look


CLUSTER_BUGS = {
    "half of the blocks left out of a cluster's moments": (
        "merge_lanes(own, C);", "merge_lanes(own, C / 2);", "forward",
    ),
    "a block's own moments taken for every other's": (
        "{cluster_read(slots + 1, rank)}", "{cluster_read(slots + 1, rank / 2)}", "forward",
    ),
    "the last block left out of a cluster's sums": ("q < C; ++q", "q + 1 < C || q == 0; ++q", "backward"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "direction"), CLUSTER_BUGS.values(), ids=CLUSTER_BUGS)
def test_a_bug_in_a_reduction_over_a_cluster_exceeds_the_bound(
    libraries: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, direction: str
) -> None:
    monkeypatch.setattr(groups, "GOOD_SHARE", 2048)  # so that a small group is a cluster's
    problem = Problem("group", direction, (2, 4, 32, 32), groups=2)
    sound, broken = (_gpu(libraries, "group", bug, SMALL_GPU) for bug in (None, (old, new)))
    assert max(run_once(HostKernels(sound), problem, "offset", 4, "cpu").values()) <= 1.0
    (cluster,) = {name for name in sound.launched if name.startswith(f"group_{direction}")}
    assert not cluster.endswith(", 1>")
    found = run_once(HostKernels(broken), problem, "offset", 4, "cpu")["y" if direction == "forward" else "dx"]
    assert 1.0 < found < math.inf


@pytest.mark.parametrize(("norm", "shape"), [("layer", (3, 640)), ("group", (2, 4, 32, 32))])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_block_that_ends_while_others_read_its_memory_is_an_error(
    libraries: Path, monkeypatch: pytest.MonkeyPatch, norm: str, shape: tuple[int, ...], direction: str
) -> None:
    monkeypatch.setattr(groups, "GOOD_SHARE", 2048)
    _make_narrow(monkeypatch)
    problem = Problem(norm, direction, shape, groups=2)
    gpu = _gpu(libraries, norm, ("if constexpr (C > 1) cluster_barrier();", ";"), SMALL_GPU)
    with pytest.raises(RuntimeError, match="of a block that has ended"):
        prepare(problem, draw(problem, "normal", 0), gpu)()


def test_parameters_at_an_odd_address_read_in_wide_loads_are_an_error(libraries: Path) -> None:
    gpu, problem = _gpu(libraries, "layer"), Problem("layer", "forward", (3, 64), "bfloat16")
    tensors = draw(problem, "normal", 0)
    for name in ("weight", "bias"):
        odd = torch.empty(65)[1:].copy_(getattr(tensors, name))
        operation = bind(problem, {"x": tensors.x, "weight": tensors.weight, "bias": tensors.bias, name: odd}, gpu)
        operation()
        operation = replace(operation, plan=plan(problem, gpu.device, aligned=True))
        with pytest.raises(RuntimeError, match="load is not aligned"):
            operation()


BARRIER = ("if (lane == 0) slots[s * MAX_WARPS + thread / LANES] = values[s];\n        __syncthreads();",
           "if (lane == 0) slots[s * MAX_WARPS + thread / LANES] = values[s];")  # fmt: skip


def test_a_reduction_in_the_place_of_the_one_before_gives_wrong_results(libraries: Path) -> None:
    gpu = _gpu(libraries, "layer", ("Norm::CENTERED ? 1 : turn", "0"))
    assert run_once(HostKernels(gpu), Problem("layer", "forward", (4, 1000)), "normal", 0, "cpu")["y"] > 1.0


def test_a_missing_barrier_gives_wrong_results_in_one_order_of_threads(libraries: Path) -> None:
    gpu = _gpu(libraries, "layer", BARRIER)
    worst = []
    for backwards in (False, True):
        gpu.backwards = backwards
        worst.append(run_once(HostKernels(gpu), Problem("layer", "forward", (4, 1000)), "normal", 0, "cpu")["y"])
    assert max(worst) > 1.0


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("threads.sum(mean, 0);\n", "if (threadIdx.x % 2) threads.sum(mean, 0);\n", "exchange"),
        ("threads.sum(mean, 0);\n", "if (threadIdx.x % 2)\n__syncthreads();\nthreads.sum(mean, 0);\n", "never come"),
        # 2248 floats is all that this kernel is given
        ("room + turn * 3 * MAX_WARPS", "room + turn * 2248", "beyond its shared memory"),
    ],
)
def test_threads_that_part_and_memory_that_was_not_asked_for_are_errors(
    libraries: Path, old: str, new: str, error: str
) -> None:
    gpu = _gpu(libraries, "layer", (old, new))
    problem = Problem("layer", "forward", (4, 1000))
    with pytest.raises(RuntimeError, match=error):
        prepare(problem, draw(problem, "normal", 0), gpu)()


def test_a_write_beyond_a_buffer_is_an_error(libraries: Path) -> None:
    gpu = _gpu(libraries, "layer", ("T *to = row_of(y, row, columns),", "T *to = row_of(y, row, columns) + 1,"))
    problem = Problem("layer", "forward", (1, 127))
    with pytest.raises(AssertionError, match="behind the end"):
        prepare(problem, draw(problem, "normal", 0), gpu)()


FETCH_BUGS = {
    "not waited for": ("        fetched<0>();\n        given.go_on", "        given.go_on"),
    "the next row in the place of this one": ("(TWOFOLD ? of * (K * APART) : 0)", "0"),
}


def test_a_stream_that_is_not_waited_for_is_poison(libraries: Path) -> None:
    gpu = _gpu(
        libraries, "layer", ("            fetched<LATER>();\n            other.go_on", "            other.go_on")
    )
    found = run_once(
        HostKernels(gpu), Problem("layer", "backward", (50, 64), "bfloat16", residual=True), "normal", 0, "cpu"
    )
    assert found["dx"] == math.inf
    assert found["dweight"] <= 1.0


@pytest.mark.parametrize(("old", "new"), FETCH_BUGS.values(), ids=FETCH_BUGS)
def test_a_row_that_is_read_before_it_came_or_after_it_went_is_poison(libraries: Path, old: str, new: str) -> None:
    gpu, problem = _gpu(libraries, "layer", (old, new)), Problem("layer", "forward", (50, 64), "bfloat16")
    assert run_once(HostKernels(gpu), problem, "normal", 0, "cpu") == {"y": math.inf}


def test_a_thread_that_ends_while_something_is_on_its_way_is_an_error(libraries: Path) -> None:
    gpu = _gpu(libraries, "layer", ("    fetched<0>();\n    cluster.leave();", "    cluster.leave();"))
    problem = Problem("layer", "forward", (50, 64), "bfloat16")
    with pytest.raises(RuntimeError, match="ends before all that it has fetched has come"):
        prepare(problem, draw(problem, "normal", 0), gpu)()


def test_a_row_left_out_leaves_poison(libraries: Path) -> None:
    loop = "for (; row - threadIdx.y{} < rows; row += step) {{\n        const bool live = row < rows;\n        fetched"
    gpu = _gpu(libraries, "layer", (loop.format(""), loop.format(" + blockDim.y")))
    assert run_once(HostKernels(gpu), Problem("layer", "forward", (50, 64)), "normal", 0, "cpu") == {"y": math.inf}
