"""Every CUDA kernel, built for this processor, against the oracle: small and awkward shapes, guarded memory."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from host_gpu import COMPILER, SMALL_GPU, HostGpu, HostKernels

from ics_bench.kernels.check import check, run_once
from ics_bench.kernels.cuda import groups, rows
from ics_bench.kernels.cuda.geometry import CTYPES
from ics_bench.kernels.cuda.operation import bind, prepare
from ics_bench.kernels.cuda.plan import plan
from ics_bench.kernels.cuda.source import instantiations
from ics_bench.kernels.inputs import draw, exact_inputs, widen
from ics_bench.kernels.provider import Chains, Kernel, Tensors
from ics_bench.kernels.reference import evaluate
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import Problem

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"building the kernels needs {COMPILER}")

ROWS = [
    (1, 1), (70, 8), (5, 96), (9, 500),  # several rows a block; a warp that is not full
    (4, 640), (7, 1000), (3, 2040), (2, 4096), (2, 4640), (2, 9000),  # a warp, clusters of 2, 4, 8 blocks, and chunks
    (5, 127), (2, 251), (3, 2041),  # one element a load: several rows a block, a warp, and chunks
]  # fmt: skip
"""With blocks of `NARROW` threads."""

VARIED = ROWS[2:4] + ROWS[5:]
"""Those with every option, too."""

NARROW = 32

MAPS = [(1, 4, 16, 32), (3, 16, 5, 7), (2, 8, 17, 24), (5, 24, 1, 1), (2, 64, 3, 3), (1, 4, 64, 32), (2, 6, 2, 4, 8)]


@pytest.fixture
def gpu(libraries: Path) -> HostGpu:
    return HostGpu(libraries)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clusters of small problems: few threads a block, little shared memory."""
    monkeypatch.setattr(rows, "MOST_THREADS", {"forward": NARROW, "backward": NARROW})
    monkeypatch.setattr(rows, "LONG_THREADS", NARROW)
    monkeypatch.setattr(groups, "GOOD_SHARE", 2048)


def _worst(gpu: HostGpu, problem: Problem) -> float:
    few = problem.elements // problem.reduction_sets < 4  # their deviation may be nothing beside an offset
    return max(run_once(HostKernels(gpu), problem, "normal" if few else "offset", 3, "cpu").values())


def _layouts(shape: tuple[int, ...]) -> tuple[str, ...]:
    return ("contiguous", "channels_last") if len(shape) in (4, 5) else ("contiguous",)


@pytest.mark.parametrize("dtype", CTYPES)
def test_rows_of_every_length_are_right_by_every_kernel(gpu: HostGpu, narrow: None, dtype: str) -> None:
    for shape in ROWS:
        for norm, direction in (("layer", "forward"), ("layer", "backward"), ("rms", "forward"), ("rms", "backward")):
            plain = Problem(norm, direction, shape, dtype)
            for problem in (plain, *(variants(plain) if shape in VARIED else ())):
                assert _worst(gpu, problem) <= 1.0, problem
    every = {name for family in ("row_norm", "long_rows") for name in instantiations(family, clusters=True)}
    wanted = {name for name in every if f"<{CTYPES[dtype]}," in name}
    assert wanted <= gpu.launched, wanted - gpu.launched


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize(
    ("columns", "most", "cluster"), [(4096, 1024, 1), (4608, 64, 4), (20000, 64, 8), (2041, 1024, 1), (2041, 64, 1)]
)
def test_blocks_of_several_warps_go_round(
    gpu: HostGpu, monkeypatch: pytest.MonkeyPatch, norm: str, direction: str, columns: int, most: int, cluster: int
) -> None:
    """One reduction after another, over warps and over blocks, whichever come first."""
    monkeypatch.setattr(rows, "MOST_THREADS", {"forward": most, "backward": most})
    monkeypatch.setattr(rows, "LONG_THREADS", most)
    monkeypatch.setattr(rows, "RESIDENT_THREADS", {"forward": 1, "backward": 1})
    gpu.device = replace(SMALL_GPU, multiprocessors=4)
    problem = Problem(norm, direction, (20, columns), "bfloat16", residual=True)
    (launch, *_) = plan(problem, gpu.device, aligned=True).launches
    assert launch.block[0] > NARROW
    assert launch.cluster == cluster
    assert launch.grid[0] // cluster <= 8
    for backwards in (False, True):
        gpu.backwards = backwards
        assert _worst(gpu, problem) <= 1.0


@pytest.mark.parametrize("columns", [64, 1000, 2041, 4096])
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_what_is_constant_has_no_deviation(gpu: HostGpu, norm: str, columns: int) -> None:
    shape = (3, columns) if norm == "layer" else (3, 1, 1, columns)
    x = torch.full(shape, 1e5)
    operation = bind(Problem(norm, "forward", shape), {"x": x, "weight": None, "bias": None}, gpu)
    operation()
    assert not operation["y"].any()
    assert operation["mean"].eq(1e5).all()


@pytest.mark.parametrize("dtype", CTYPES)
def test_channels_and_groups_are_right_by_every_kernel(gpu: HostGpu, narrow: None, dtype: str) -> None:
    for shape in MAPS:
        for layout in _layouts(shape):
            for direction in ("forward", "backward"):
                for norm in ("instance", "group", "batch"):
                    problem = Problem(norm, direction, shape, dtype, groups=2, layout=layout)
                    assert _worst(gpu, problem) <= 1.0, problem
    for shape in ((2, 3), (33, 17), (130, 64)):
        for direction in ("forward", "backward"):
            assert _worst(gpu, Problem("batch", direction, shape, dtype)) <= 1.0, shape
    for family in ("channel_norm", "group_norm"):
        wanted = {name for name in instantiations(family, clusters=True) if f"<{CTYPES[dtype]}," in name}
        assert wanted <= gpu.launched, wanted - gpu.launched


def test_the_kernels_without_a_type_run_too(gpu: HostGpu) -> None:
    for direction in ("forward", "backward"):
        for shape, layout in (((9, 8), "contiguous"), ((2, 8, 3, 4), "contiguous"), ((2, 8, 3, 4), "channels_last")):
            for training in (True, False):
                problem = Problem("batch", direction, shape, training=training, layout=layout)
                assert _worst(gpu, problem) <= 1.0, problem
        assert _worst(gpu, Problem("group", direction, (2, 8, 3, 4), groups=4)) <= 1.0
    plain = {
        name for family in ("channel_norm", "partials") for name in instantiations(family, True) if "<" not in name
    }
    assert plain <= gpu.launched


@pytest.mark.parametrize("norm", ["layer", "rms", "group", "instance", "batch"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_adversarial_inputs_are_within_the_bounds(gpu: HostGpu, norm: str, direction: str) -> None:
    shape = (6, 640) if norm in ("layer", "rms") else (3, 8, 6, 8)
    verdict = check(HostKernels(gpu), Problem(norm, direction, shape, "bfloat16", groups=2), seed=5, device="cpu")
    assert verdict.correct, verdict.worst


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_options_are_within_the_bounds_on_adversarial_inputs(gpu: HostGpu, norm: str, direction: str) -> None:
    for problem in variants(Problem(norm, direction, (6, 640), "bfloat16")):
        verdict = check(HostKernels(gpu), problem, seed=5, device="cpu")
        assert verdict.correct, (problem, verdict.worst)


def test_without_a_weight_the_scale_is_one_whatever_is_added_to_it(gpu: HostGpu) -> None:
    found = []
    for zero_centered in (False, True):
        problem = Problem("rms", "forward", (3, 96), zero_centered=zero_centered)
        operation = bind(problem, {"x": draw(problem, "normal", 0).x, "weight": None}, gpu)
        operation()
        found.append(operation["y"])
    assert found[0].equal(found[1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_planes_that_no_vector_divides_are_read_as_columns(gpu: HostGpu, direction: str, training: bool) -> None:
    problem = Problem("batch", direction, (70, 8, 3, 3), "float16", training)
    assert _worst(gpu, problem) <= 1.0
    wide = [name for name in gpu.launched if name.startswith("channel") and "<" in name]
    assert wide
    assert all(name.endswith("<f16, 8, Columns>") for name in wide)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_groups_that_fit_no_cluster_go_by_way_of_memory(gpu: HostGpu, direction: str) -> None:
    gpu.device = replace(SMALL_GPU, shared_bytes=512)
    problem = Problem("group", direction, (3, 8, 16, 16), groups=2)
    assert _worst(gpu, problem) <= 1.0
    assert not any(name.startswith("group") for name in gpu.launched)
    assert any(name.startswith("channel") for name in gpu.launched)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_mean_of_many_partial_results_is_gathered_by_a_block(gpu: HostGpu, direction: str) -> None:
    problem = Problem("group", direction, (1, 40, 48, 32), "bfloat16", groups=2, layout="channels_last")
    gathering = plan(problem, gpu.device, aligned=True).launches[1]
    assert gathering.block == (64, 1, 1)
    assert _worst(gpu, problem) <= 1.0
    gpu.backwards = True
    assert _worst(gpu, problem) <= 1.0


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("shape", [(5, 1000), (3, 2041)])
def test_a_gpu_without_clusters_reads_long_rows_in_chunks(gpu: HostGpu, narrow: None, shape, direction: str) -> None:
    gpu.device = replace(SMALL_GPU, clusters=False)
    for residual in (False, True):
        assert _worst(gpu, Problem("layer", direction, shape, residual=residual)) <= 1.0
    rows_only = [name for name in gpu.launched if name.startswith(("row", "long"))]
    assert any(name.startswith("long") for name in rows_only)
    assert all(name.split(", ")[2] in ("1", "Blocks<1>") for name in rows_only)


@pytest.mark.parametrize("offset", [1, 3])
@pytest.mark.parametrize(
    "problem",
    [
        Problem("layer", "forward", (3, 64), "bfloat16"),
        Problem("rms", "backward", (3, 64), "float16"),
        Problem("layer", "forward", (3, 64), "bfloat16", residual=True),
        Problem("rms", "backward", (3, 64), "float16", residual=True, zero_centered=True),
        Problem("batch", "backward", (3, 8, 4, 8)),
        Problem("group", "forward", (3, 8, 4, 8), "bfloat16", groups=2, layout="channels_last"),
        Problem("instance", "backward", (3, 8, 4, 8)),
    ],
    ids=lambda p: "-".join((p.norm, p.direction, *p.options)) if isinstance(p, Problem) else str(p),
)
def test_tensors_at_any_address_are_read_and_written(gpu: HostGpu, problem: Problem, offset: int) -> None:
    gpu.offset = offset  # outputs; the host refuses 16-byte accesses to them
    assert _worst(gpu, problem) <= 1.0
    assert all(", 1" in name for name in gpu.launched if "<" in name), gpu.launched


class Shifted(HostKernels):
    """Our kernels, with one of their inputs at an odd address."""

    def __init__(self, gpu: HostGpu, name: str) -> None:
        super().__init__(gpu)
        self.name = name

    def chains(self, problem: Problem, device: str) -> Chains:
        return plan(problem, self.gpu.device, aligned=False).chains

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        whole = getattr(tensors, self.name)
        shifted = torch.empty(whole.numel() + 1, dtype=whole.dtype)[1:].view(whole.shape).copy_(whole)
        assert shifted.data_ptr() % 16
        return super().prepare(problem, replace(tensors, **{self.name: shifted}))


@pytest.mark.parametrize(
    ("direction", "name"),
    [("forward", "residual"), ("backward", "ds"), ("forward", "weight"), ("forward", "bias"), ("backward", "weight")],
)
def test_an_odd_address_of_one_input_is_enough(gpu: HostGpu, direction: str, name: str) -> None:
    problem = Problem("layer", direction, (3, 64), "bfloat16", residual=True)
    assert max(run_once(Shifted(gpu, name), problem, "normal", 3, "cpu").values()) <= 1.0
    launched = {kernel for kernel in gpu.launched if kernel.startswith(f"row_{direction}")}
    assert launched == {f"row_{direction}<bf16, 1, PartOfWarp, Layer, true>"}


@pytest.mark.parametrize("norm", ["layer", "group", "batch"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_results_do_not_depend_on_the_order_in_which_threads_and_blocks_run(
    gpu: HostGpu, narrow: None, norm: str, direction: str
) -> None:
    shape = (7, 2040) if norm == "layer" else (3, 8, 9, 8)
    problem = Problem(norm, direction, shape, groups=2, residual=norm == "layer")
    found = []
    for backwards in (False, True):
        gpu.backwards = backwards
        found.append([output.clone() for output in prepare(problem, draw(problem, "normal", 1), gpu)()])
    assert all(a.equal(b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("residual", [False, True])
def test_no_rows_give_no_results_and_parameter_gradients_of_zero(gpu: HostGpu, residual: bool) -> None:
    problem = Problem("layer", "backward", (0, 8), residual=residual)
    dx, dweight, dbias = prepare(problem, draw(problem, "normal", 0), gpu)()
    assert dx.shape == (0, 8)
    assert not dweight.any()
    assert not dbias.any()


def test_statistics_are_kept_for_the_backward_pass(gpu: HostGpu) -> None:
    problem = Problem("group", "forward", (3, 8, 4, 8), groups=2)
    tensors = draw(problem, "offset", 0)
    operation = bind(problem, {"x": tensors.x, "weight": None, "bias": None}, gpu)
    operation()
    per_group = tensors.x.double().view(3, 2, -1)
    torch.testing.assert_close(operation["mean"].double(), per_group.mean(-1).ravel(), rtol=1e-6, atol=0)
    wanted = (per_group.var(-1, correction=0) + problem.eps).rsqrt().ravel()
    torch.testing.assert_close(operation["rstd"].double(), wanted, rtol=1e-4, atol=0)
    plain = replace(exact_inputs(tensors), weight=widen(torch.ones(8)), bias=widen(torch.zeros(8)))
    torch.testing.assert_close(widen(operation["y"]), evaluate(problem, plain)["y"], rtol=1e-3, atol=1e-3)
