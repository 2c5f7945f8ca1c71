"""Every provider can be listed without its library, says what is missing, and computes the norm it names."""

import importlib
import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ics_bench.core import UsageError
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels.check import check
from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.functional import functional_norm, others_of
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import Kernel, Provider, Tensors, load_provider
from ics_bench.kernels.providers.cupy_arrays import CupyArrays, stream_kept
from ics_bench.kernels.providers.torch_eager import TorchEager
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, OPTIONS, ROW_NORMS, Problem
from ics_bench.kernels.throughput import compare

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
LIBRARIES = ("cupy", "liger_kernel", "quack", "apex", "triton")
SHAPES = {"layer": (16, 96), "rms": (16, 96)}


def _problem(norm: str, direction: str = "forward", dtype: str = "float32") -> Problem:
    return Problem(norm, direction, SHAPES.get(norm, (4, 16, 6, 6)), dtype, groups=2)


def test_listing_providers_imports_none_of_their_libraries() -> None:
    before = {name for name in LIBRARIES if name in sys.modules}
    for name in PROVIDERS.builtin():
        importlib.reload(importlib.import_module(f"ics_bench.kernels.providers.{name}"))
        assert load_provider(name).summary
    assert {name for name in LIBRARIES if name in sys.modules} == before


@pytest.mark.parametrize(
    "name", [n if n != "torch_compile" else pytest.param(n, marks=pytest.mark.full) for n in PROVIDERS.builtin()]
)
def test_a_provider_says_why_it_cannot_run_here_or_runs(name: str) -> None:
    provider = load_provider(name)
    norm = next((norm for norm in KERNEL_NORMS if provider.takes(norm)), "batch_renorm")
    problem = _problem(norm)
    for device in ("cpu", "cuda"):
        reason = provider.why_not(problem, device)
        if device not in provider.devices:
            assert f"no device '{device}'" in str(reason)
        elif device == "cpu":
            assert reason is None
            y, *_ = provider.prepare(problem, draw(problem, "normal", 0))()
            assert y.shape == problem.shape
        elif not torch.cuda.is_available():
            assert reason == "torch sees no CUDA device"


@pytest.mark.parametrize("name", ["liger", "quack", "apex"])
def test_a_library_that_is_not_installed_is_named_with_its_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = load_provider(name)
    assert isinstance(provider, Differentiable)
    try:
        found = importlib.util.find_spec(provider.module)
    except ModuleNotFoundError:
        found = None
    if found is not None:
        pytest.skip(f"{provider.module} is installed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    norm = next(norm for norm in KERNEL_NORMS if provider.takes(norm))
    assert provider.why_not(_problem(norm), "cuda") == f"{provider.module} is not installed: {provider.remedy}"


def test_a_layout_that_a_library_does_not_take_is_named() -> None:
    reason = load_provider("liger").why_not(Problem("group", "forward", (2, 8, 2, 2), layout="channels_last"), "cuda")
    assert reason == "Liger has no layout 'channels_last'; it has contiguous"


@pytest.mark.parametrize("name", ["torch_eager", "torch_compile"])
def test_torch_gets_parameters_in_the_dtype_of_x_on_a_gpu_where_it_takes_no_others(name: str) -> None:
    provider = load_provider(name)
    taken = {
        (norm, device): provider.adapted(_problem(norm, dtype="bfloat16"), device).parameter_dtype
        for norm in KERNEL_NORMS
        for device in ("cpu", "cuda")
    }
    assert {key for key, dtype in taken.items() if dtype == "bfloat16"} == {
        ("layer", "cuda"), ("rms", "cuda"), ("group", "cuda"),
    }  # fmt: skip
    assert load_provider("cuda").adapted(_problem("layer", dtype="bfloat16"), "cuda").parameter_dtype == "float32"


class AsOnAGpu(TorchEager):
    """Takes parameters in the dtype of x here, too, and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[Tensors] = []

    def adapted(self, problem: Problem, device: str) -> Problem:
        return super().adapted(problem, "cuda")

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        self.given.append(tensors)
        return super().prepare(problem, tensors)


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of the other
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("norm", "direction"), [("layer", "forward"), ("rms", "forward"), ("rms", "backward")])
def test_parameters_in_the_dtype_of_x_are_checked_and_timed_as_such(norm: str, direction: str, dtype: str) -> None:
    provider, problem = AsOnAGpu(), _problem(norm, direction, dtype)
    verdict = check(provider, problem, seed=3, device="cpu")
    assert 0.0 < verdict.error_over_bound <= 1.0, verdict.worst
    compare({"torch": provider, "other": PlainTorch()}, problem, 0, "cpu", 2**20)
    assert {tensors.weight.dtype for tensors in provider.given} == {getattr(torch, dtype)}
    assert {tensors.running_mean.dtype for tensors in provider.given} == {torch.float32}


def test_a_scale_that_would_be_rounded_on_a_gpu_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    problem = replace(_problem("layer", dtype="bfloat16"), zero_centered=True)
    eager = load_provider("torch_eager")
    assert "to which 1 + γ would be rounded" in str(eager.why_not(problem, "cuda"))
    assert eager.why_not(problem, "cpu") is None
    assert eager.why_not(replace(problem, dtype="float32"), "cuda") is None


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_torchs_instance_and_batch_norm_are_what_a_module_calls(norm: str, direction: str) -> None:
    called = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(function)
            return function(*args, **(kwargs or {}))

    problem = _problem(norm, direction)
    with Watch():
        load_provider("torch_eager").prepare(problem, draw(problem, "normal", 0))()
    assert getattr(functional, f"{norm}_norm") in called
    assert torch.native_group_norm not in called


@pytest.mark.parametrize("name", ["torch_eager", "torch_compile"])
def test_what_torch_refuses_is_declined_and_not_left_to_fail(name: str) -> None:
    provider = load_provider(name)
    assert "more than one position" in str(provider.why_not(Problem("instance", "forward", (4, 8, 1, 1)), "cpu"))


@pytest.mark.parametrize("name", PROVIDERS.builtin())
def test_no_one_trains_batch_norm_on_one_number_a_feature(name: str) -> None:
    provider, (device, *_) = load_provider(name), sorted(load_provider(name).devices)
    for shape in ((1, 8), (1, 8, 1, 1), (0, 8)):
        single = Problem("batch", "forward", shape)
        declined = str(provider.why_not(single, device))
        assert "more than one number a feature" in declined or not provider.takes("batch")
        assert "more than one number" not in str(provider.why_not(replace(single, training=False), device))


class Numpy(CupyArrays):
    """CuPy's array expressions, evaluated by NumPy."""

    devices = frozenset({"cpu"})

    def why_not(self, problem: Problem, device: str) -> str | None:
        return Provider.why_not(self, problem, device)  # it does without CuPy

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        arrays = stream_kept(problem, {name: tensor.numpy() for name, tensor in tensors.named().items()})
        return lambda: tuple(map(torch.from_numpy, self.evaluate(np, problem, arrays)))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
@pytest.mark.parametrize("dtype", sorted(CupyArrays.dtypes))
def test_cupys_array_expressions_are_the_norms(norm: str, direction: str, dtype: str) -> None:
    verdict = check(Numpy(), _problem(norm, direction, dtype), seed=3, device="cpu")
    assert 0.0 < verdict.error_over_bound <= 1.0, verdict.worst


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", ROW_NORMS)
def test_options_are_offered_by_array_expressions_and_by_functions(norm: str, direction: str) -> None:
    for problem in variants(_problem(norm, direction)):
        for provider in (Numpy(), PlainTorch()):
            verdict = check(provider, problem, seed=3, device="cpu")
            assert 0.0 < verdict.error_over_bound <= 1.0, verdict.worst


def test_who_lacks_an_option_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    zero_centered = replace(_problem("layer"), zero_centered=True)
    assert load_provider("apex").why_not(zero_centered, "cuda") == "Apex has no option 'zero_centered' of layer norm"
    rms = replace(_problem("rms"), zero_centered=True)
    monkeypatch.setattr("ics_bench.kernels.differentiable._is_installed", lambda module: True)
    for name in ("liger", "quack"):
        assert "has zero_centered for RMS norm alone" in str(load_provider(name).why_not(zero_centered, "cuda"))
        assert load_provider(name).why_not(rms, "cuda") is None
    for name in ("quack", "torch_compile"):
        residual = replace(_problem("rms"), residual=True)
        assert load_provider(name).why_not(residual, "cuda") is None
        said = str(load_provider(name).why_not(replace(residual, dtype="bfloat16"), "cuda"))
        assert "normalizes x + r before it is rounded to bfloat16" in said


@pytest.mark.parametrize("name", ["torch_eager", "torch_compile", "cuda"])
def test_whoever_adds_a_residual_asks_for_it_and_no_one_else_reads_it(name: str) -> None:
    problem = _problem("layer")
    provider, both = load_provider(name), draw(replace(problem, residual=True), "normal", 0)
    with pytest.raises(UsageError, match="has a residual and its tensors have none"):
        provider.recorder(replace(problem, residual=True), replace(both, residual=None)).forward()
    if name == "torch_eager":
        for direction in ("forward", "backward"):
            one = replace(problem, direction=direction)
            found = [provider.prepare(one, t)()[0] for t in (both, replace(both, residual=None))]
            assert found[0].equal(found[1])


def test_inputs_that_an_unknown_order_of_sums_leaves_without_a_bound_are_counted() -> None:
    (warning,) = check(Numpy(), _problem("layer", dtype="float16"), seed=3, device="cpu").warnings()
    assert "adversarial inputs have no error bound" in warning


class PlainTorch(Differentiable):
    """A library's functions: torch's own."""

    summary = "torch.nn.functional"
    module = "torch"
    remedy = "install it"
    devices = frozenset({"cpu"})
    options = frozenset(OPTIONS)

    def function(self, problem: Problem, tensors: Tensors):
        norm, others = functional_norm(problem), others_of(problem, tensors)
        return lambda x, weight, bias: norm(x, weight, bias, *others)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_a_librarys_functions_are_checked_both_ways(norm: str, direction: str) -> None:
    verdict = check(PlainTorch(), _problem(norm, direction), seed=3, device="cpu")
    assert verdict.correct, verdict.worst


def test_frozen_statistics_have_no_parameter_gradients_to_ask_for() -> None:
    problem = Problem("batch", "backward", (4, 16, 6, 6), training=False)
    assert check(PlainTorch(), problem, seed=3, device="cpu").correct


@pytest.mark.full
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_what_torch_compiles_is_the_norm(norm: str, direction: str) -> None:
    problem = _problem(norm, direction)
    for one in (problem, *variants(problem)):
        verdict = check(load_provider("torch_compile"), one, seed=3, device="cpu")
        assert verdict.correct, verdict.worst


def test_every_dtype_is_offered_by_ours_and_by_torchs() -> None:
    for name in ("cuda", "torch_eager", "torch_compile"):
        provider: Provider = load_provider(name)
        assert provider.dtypes == set(DTYPE_BYTES)
        assert provider.norms == set(KERNEL_NORMS)
        assert "cuda" in provider.devices
