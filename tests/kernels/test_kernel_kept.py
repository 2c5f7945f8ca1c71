"""What forward passes keep for their backward passes: activations, each storage once, and no parameters."""

import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from host_gpu import COMPILER, HostGpu

from ics_bench.kernels.cuda import functions
from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.kept import kept_bytes
from ics_bench.kernels.provider import Kernel, Provider, Recorder, Tensors, load_provider
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, Problem, kept_floor_bytes

SHAPES = {"layer": (16, 96), "rms": (16, 96)}


def _problem(norm: str, dtype: str = "float32", **options: object) -> Problem:
    return Problem(norm, "forward", SHAPES.get(norm, (4, 16, 6, 6)), dtype, groups=2, **options)


def _kept(provider: Provider, problem: Problem) -> int | None:
    return kept_bytes(provider, problem, draw(problem, "normal", 0))


class Plain(Provider):
    """Keeps what its forward pass tells autograd to."""

    def __init__(self, forward, parameters: bool = True) -> None:
        self.forward, self.parameters = forward, parameters

    def chains(self, problem: Problem, device: str):
        raise NotImplementedError

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        raise NotImplementedError

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder:
        x, weight = tensors.x.requires_grad_(), tensors.weight.requires_grad_()
        return Recorder(lambda: self.forward(x, weight), (weight,) if self.parameters else ())


def test_each_storage_counts_once_and_parameters_do_not() -> None:
    problem = _problem("layer")
    size = problem.tensor_bytes
    assert _kept(Plain(lambda x, weight: x.square()), problem) == size
    assert _kept(Plain(lambda x, weight: x * weight), problem) == size  # and the weight
    assert _kept(Plain(lambda x, weight: x * weight, parameters=False), problem) == size + 4 * 96
    assert _kept(Plain(lambda x, weight: (x[:8].square(), x[8:].square(), x.square())), problem) == size  # views of one
    assert _kept(Plain(lambda x, weight: x.exp().exp()), problem) == 2 * size  # both results
    assert _kept(Plain(lambda x, weight: x.exp()[0].square()), problem) == size  # a row that holds them all
    assert _kept(Plain(lambda x, weight: x + weight), problem) == 0


@pytest.mark.parametrize("dtype", DTYPE_BYTES)
@pytest.mark.parametrize("norm", ["layer", "group", "instance", "batch"])
def test_torchs_own_norms_keep_the_input_and_its_statistics(norm: str, dtype: str) -> None:
    problem = _problem(norm, dtype)
    kept = _kept(load_provider("torch_eager"), problem)
    assert kept_floor_bytes(problem) <= kept <= problem.tensor_bytes + 16 * problem.reduction_sets


def test_a_norm_composed_of_other_operators_keeps_more() -> None:
    problem = _problem("rms")
    assert _kept(load_provider("torch_eager"), problem) > 1.5 * kept_floor_bytes(problem)


@pytest.fixture
def on_host(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our functions take tensors on the processor."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"building the kernels needs {COMPILER}")
    gpu = HostGpu(libraries)
    monkeypatch.setattr(functions, "engine_of", lambda device: gpu)


def _outputs_left(provider: Provider, problem: Problem) -> int:
    """How many of the outputs whose graph was counted are still alive afterwards."""
    outputs: list[weakref.ref[torch.Tensor]] = []

    class Watched(Plain):
        def recorder(self, problem: Problem, tensors: Tensors) -> Recorder:
            recorder = provider.recorder(problem, tensors)

            def forward() -> object:
                found = recorder.forward()
                outputs.extend(map(weakref.ref, found if isinstance(found, tuple) else (found,)))
                return found

            return replace(recorder, forward=forward)

    assert _kept(Watched(None), problem) > 0
    assert outputs
    return sum(output() is not None for output in outputs)


@pytest.mark.parametrize("norm", ["layer", "rms", "group"])
def test_what_was_counted_is_freed(norm: str) -> None:
    assert _outputs_left(load_provider("torch_eager"), _problem(norm)) == 0
    assert _outputs_left(Plain(lambda x, weight: x.tanh()), _problem(norm)) == 0  # saves its output


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_what_was_counted_of_ours_is_freed_though_s_is_kept_and_returned(norm: str, on_host: None) -> None:
    assert _outputs_left(load_provider("cuda"), _problem(norm, residual=True)) == 0


@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_our_functions_keep_the_fewest_bytes(norm: str, on_host: None) -> None:
    for problem in (_problem(norm), _problem(norm, "bfloat16"), replace(_problem(norm), direction="backward")):
        assert _kept(load_provider("cuda"), problem) == kept_floor_bytes(problem)


def test_a_scale_made_of_the_weight_is_kept_unless_the_norm_adds_by_itself(
    on_host: None,
) -> None:
    problem = _problem("layer", zero_centered=True)
    assert _kept(load_provider("torch_eager"), problem) == kept_floor_bytes(problem) + 4 * problem.num_features
    assert _kept(load_provider("cuda"), problem) == kept_floor_bytes(problem)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_stream_is_kept_in_place_of_what_was_added(norm: str, on_host: None) -> None:
    problem = _problem(norm, "bfloat16", residual=True, zero_centered=True)
    assert _kept(load_provider("cuda"), problem) == kept_floor_bytes(problem)
    assert kept_floor_bytes(problem) == kept_floor_bytes(replace(problem, residual=False))


class Library(Differentiable):
    """A library's function: torch's own."""

    summary, module, remedy = "a library", "torch", "install it"

    def function(self, problem: Problem, tensors: Tensors):
        return lambda x, weight, bias: torch.nn.functional.layer_norm(x, [problem.num_features], weight, bias)


def test_a_librarys_function_is_recorded_without_being_told() -> None:
    problem = _problem("layer")
    assert Library().trains
    assert _kept(Library(), problem) == kept_floor_bytes(problem)


@pytest.mark.full
def test_a_compiled_norm_is_recorded_too() -> None:
    problem = _problem("rms")
    assert kept_floor_bytes(problem) <= _kept(load_provider("torch_compile"), problem) <= 2 * problem.tensor_bytes


def test_running_statistics_are_no_activations() -> None:
    assert _kept(load_provider("torch_eager"), _problem("batch", training=False)) <= _problem("batch").tensor_bytes


def test_without_autograd_there_is_nothing_to_count() -> None:
    problem = _problem("layer", "float32")
    assert _kept(load_provider("cupy_arrays"), problem) is None
    for name in ("torch_eager", "torch_compile", "module", "cuda", "liger", "quack", "apex"):
        assert load_provider(name).trains
    assert not load_provider("cupy_arrays").trains
