"""Our kernels on a GPU: right, the same every time, on torch's stream, and seen to be wrong where a bug is planted."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ics_bench.kernels.check import check, run_once
from ics_bench.kernels.cuda.functions import group_norm, layer_norm
from ics_bench.kernels.cuda.launch import CupyEngine, engine_of
from ics_bench.kernels.cuda.operation import bind, prepare
from ics_bench.kernels.cuda.source import FAMILIES, source
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import Kernel, Provider, Tensors, load_provider
from ics_bench.kernels.providers.cuda import Cuda
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, Problem

CUDA = "cuda"
ROWS = [(1, 1), (70, 8), (9, 500), (300, 1024), (3, 2041), (3, 2042), (5, 16384), (3, 40000), (2, 131072), (2, 300008)]
VARIED = [(9, 500), (3, 2041), (5, 16384), (2, 131072), (2, 300008)]  # with every option, too
MAPS = [(3, 16, 5, 7), (4, 64, 14, 14), (5, 24, 1, 1), (2, 64, 64, 64), (2, 6, 2, 4, 8)]


@pytest.mark.parametrize("dtype", DTYPE_BYTES)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_every_norm_is_right_on_awkward_shapes_and_adversarial_inputs(norm: str, direction: str, dtype: str) -> None:
    provider = load_provider("cuda")
    for shape in ROWS if norm in ("layer", "rms") else MAPS:
        for layout in ("contiguous", "channels_last") if len(shape) > 3 else ("contiguous",):
            plain = Problem(norm, direction, shape, dtype, groups=2, layout=layout)
            for problem in (plain, *(variants(plain) if shape in VARIED else ())):
                verdict = check(provider, problem, seed=1, device=CUDA)
                assert verdict.correct, verdict.worst
                assert not verdict.layout_lost


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("shape", [(3136, 256), (4, 64, 14, 14)])
def test_running_statistics_are_used_in_evaluation(shape: tuple[int, ...], direction: str) -> None:
    assert check(load_provider("cuda"), Problem("batch", direction, shape, training=False), 1, CUDA).correct


@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_results_are_the_same_bits_every_time(norm: str) -> None:
    shape = (30000, 256) if norm in ("layer", "rms") else (64, 64, 28, 28)
    problem = Problem(norm, "backward", shape, "bfloat16", groups=8)
    kernel = prepare(problem, draw(problem, "normal", 0, CUDA), engine_of(torch.device(CUDA)))
    first = [output.clone() for output in kernel()]
    for _ in range(20):
        assert all(a.equal(b) for a, b in zip(first, kernel(), strict=True))


@pytest.mark.parametrize("offset", [1, 3])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_tensors_at_any_address_are_read(norm: str, offset: int) -> None:
    shape = (33, 512) if norm in ("layer", "rms") else (4, 8, 8, 8)
    problem = Problem(norm, "forward", shape, "bfloat16", groups=2)
    tensors, engine = draw(problem, "normal", 0, CUDA), engine_of(torch.device(CUDA))
    shifted = torch.empty(problem.elements + offset, dtype=torch.bfloat16, device=CUDA)[offset:].view(shape)
    shifted.copy_(tensors.x)
    inputs = {"x": tensors.x, "weight": tensors.weight, "bias": tensors.bias}
    if norm == "batch":
        inputs |= {"running_mean": tensors.running_mean, "running_var": tensors.running_var}
    found = []
    for x in (tensors.x, shifted):
        operation = bind(problem, {**inputs, "x": x}, engine)
        operation()
        found.append(operation["y"].float())
    torch.testing.assert_close(*found, rtol=2e-2, atol=2e-2)


def test_kernels_run_on_torchs_current_stream() -> None:
    """Work queued behind a long kernel on the same stream sees what that kernel wrote."""
    stream = torch.cuda.Stream()
    x = torch.zeros(4096, 4096, device=CUDA)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        x.normal_()
        y = layer_norm(x)
        total = y.square().mean()
    stream.synchronize()
    assert 0.99 < total.item() < 1.01


def test_a_captured_graph_computes_what_the_launches_do() -> None:
    problem = Problem("layer", "backward", (512, 1024), "float16")
    tensors = draw(problem, "normal", 0, CUDA)
    kernel = prepare(problem, tensors, engine_of(torch.device(CUDA)))
    expected = [output.clone() for output in kernel()]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = kernel()
    for output in outputs:
        output.fill_(math.nan)
    graph.replay()
    torch.cuda.synchronize()
    assert all(a.equal(b) for a, b in zip(expected, outputs, strict=True))


def test_autograd_reaches_ours_and_agrees_with_torch() -> None:
    x = torch.randn(16, 32, 14, 14, device=CUDA).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(2, 32, device=CUDA)
    found = []
    for norm in (group_norm, functional.group_norm):
        leaves = [t.detach().clone().requires_grad_() for t in (x, weight, bias)]
        norm(leaves[0], 4, leaves[1], leaves[2]).square().sum().backward()
        found.append([leaf.grad for leaf in leaves])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


class Changed(Cuda):
    """Our kernels with a change in their sources."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self.engine = CupyEngine(0, lambda family: change(source(family)))

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        return prepare(problem, tensors, self.engine)


BUGS = {
    "masked lanes": ("squares += holds(k) ? vector : 0.0f;", "squares += vector;", "forward", (3, 130), "offset"),
    "last partial dropped": ("part < parts;", "part + 1 < parts;", "backward", (5000, 64), "normal"),
    "no eps": ("taken.m2[0] * share + eps", "taken.m2[0] * share", "forward", (3, 64), "small"),
}
for old, *_ in BUGS.values():  # seen without a GPU, too
    assert any(old in source(family) for family in FAMILIES), f"{old!r} is in no source any more"


@pytest.mark.parametrize(("old", "new", "direction", "shape", "kind"), BUGS.values(), ids=BUGS)
def test_a_bug_in_a_kernel_exceeds_the_bound_on_a_gpu_too(
    old: str, new: str, direction: str, shape: tuple[int, ...], kind: str
) -> None:
    problem = Problem("layer", direction, shape)
    sound: Provider = Changed(str)
    assert max(run_once(sound, problem, kind, 4, CUDA).values()) <= 1.0
    assert max(run_once(Changed(lambda text: text.replace(old, new)), problem, kind, 4, CUDA).values()) > 1.0


def test_large_tensors_are_addressed_with_64_bits() -> None:
    if torch.cuda.mem_get_info()[0] < 20 * 2**30:
        pytest.skip("needs 20 GiB of free GPU memory")
    problem = Problem("rms", "forward", (2**20 + 1, 2**12), "bfloat16")
    x = torch.randn(problem.shape, device=CUDA, dtype=torch.bfloat16)
    operation = bind(problem, {"x": x, "weight": None}, engine_of(torch.device(CUDA)))
    operation()
    last = replace(problem, shape=(1, 2**12))
    alone = bind(last, {"x": x[-1:].clone(), "weight": None}, engine_of(torch.device(CUDA)))
    alone()
    assert operation["y"][-1:].equal(alone["y"])
