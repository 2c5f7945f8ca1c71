"""Every provider can be listed without its library, says what is missing, and computes the norm it names."""

import importlib
import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ics_bench.core import UsageError
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels.check import check
from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.functional import functional_norm, others_of
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import Kernel, Provider, Tensors, load_provider
from ics_bench.kernels.providers.cupy_arrays import CupyArrays, stream_kept
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, OPTIONS, ROW_NORMS, Problem

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


@pytest.mark.parametrize("name", [n for n in PROVIDERS.builtin() if n != "module"])
def test_a_provider_says_why_it_cannot_run_here_or_runs(name: str) -> None:
    provider = load_provider(name)
    norm = next(norm for norm in KERNEL_NORMS if provider.takes(norm))
    problem = _problem(norm)
    for device in ("cpu", "cuda"):
        reason = provider.why_not(problem, device)
        if device not in provider.devices:
            assert f"no device '{device}'" in str(reason)
        elif device == "cuda" and not torch.cuda.is_available():
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
    assert "channels_last" in str(
        provider.why_not(Problem("group", "forward", (2, 8, 2, 2), layout="channels_last"), "cuda")
        if provider.takes("group")
        else provider.why_not(Problem("batch", "forward", (2, 8, 2, 2), layout="channels_last"), "cuda")
    ) or not provider.takes("group")


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
    assert load_provider("quack").why_not(rms, "cuda") == "Quack has no option 'zero_centered' of rms norm"
    monkeypatch.setattr("ics_bench.kernels.differentiable._is_installed", lambda module: True)
    assert "has zero_centered for RMS norm alone" in str(load_provider("liger").why_not(zero_centered, "cuda"))
    assert load_provider("liger").why_not(rms, "cuda") is None
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
