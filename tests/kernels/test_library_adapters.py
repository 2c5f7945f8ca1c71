# ruff: noqa: N803 - the libraries' own names of arguments
"""Adapters call libraries that take a GPU; stand-ins with the libraries' signatures compute with torch.

Signatures are those of Liger-Kernel 0.8.5, QuACK 0.6.5 and Apex in 2026.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch.nn import functional

from ics_bench.kernels.check import check
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.kept import kept_bytes
from ics_bench.kernels.provider import Provider
from ics_bench.kernels.providers.apex import Apex
from ics_bench.kernels.providers.liger import Liger
from ics_bench.kernels.providers.quack import Quack
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import Problem


def _rms(x, weight, eps, offset, once=True):
    wide = x.float()  # once: autograd would add two gradients of half the precision
    normalized = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    normalized = normalized if once else normalized.to(x.dtype)
    return (normalized * (offset + weight.float())).to(x.dtype)


def _layer(x, weight, bias, eps):
    return functional.layer_norm(x.float(), weight.shape, weight.float(), bias.float(), eps).to(x.dtype)


def liger_rms_norm(X, W, eps, offset=0.0, casting_mode="llama", in_place=True):
    assert not in_place  # it would write the gradient over dy
    return _rms(X, W, eps, offset, once=casting_mode == "gemma")


def liger_fused_add_rms_norm(X, R, W, eps, offset=0.0, casting_mode="llama", in_place=True):
    total = X + R
    return liger_rms_norm(total, W, eps, offset, casting_mode, in_place), total


def liger_layer_norm(X, W, B, eps):
    return _layer(X, W, B, eps)


def liger_group_norm(X, affine_scaling_weight, affine_shifting_bias, num_channels, num_groups, eps):
    assert X.shape[1] == num_channels
    weight, bias = affine_scaling_weight.float(), affine_shifting_bias.float()
    return functional.group_norm(X.float(), num_groups, weight, bias, eps).to(X.dtype)


def rmsnorm(
    x, weight=None, bias=None, residual=None, out_dtype=None, residual_dtype=None, eps=1e-6, prenorm=False,
    weight_offset=0.0,
):  # fmt: skip
    total = x if residual is None else x + residual
    y = _rms(total, weight, eps, weight_offset)
    return (y, total) if residual is not None and prenorm else y


def layernorm_fwd(x, weight, bias=None, eps=1e-6, return_rstd=False, return_mean=False):
    assert weight.dtype == bias.dtype == torch.float32
    mean = x.float().mean(1)
    rstd = torch.rsqrt(x.float().var(1, correction=0) + eps)
    y = _layer(x, weight, bias, eps)
    return (y, rstd, mean) if return_rstd and return_mean else y


def layernorm_bwd(x, weight, dout, rstd, mean, has_bias=True):
    assert has_bias
    shape = [x.shape[1]]
    rest = (mean[:, None], rstd[:, None], weight, torch.zeros_like(weight), [True, True, True])
    dx, dw, db = torch.ops.aten.native_layer_norm_backward(dout.float(), x.float(), shape, *rest)
    return dx.to(x.dtype), dw, db


def fused_layer_norm_affine(input, weight, bias, normalized_shape, eps=1e-6, memory_efficient=False):
    assert normalized_shape == (input.shape[1],)
    return _layer(input, weight, bias, eps)


def fused_rms_norm_affine(input, weight, normalized_shape, eps=1e-6, memory_efficient=False):
    assert normalized_shape == (input.shape[1],)
    return _rms(input, weight, eps, 0.0)


STAND_INS = {
    "liger_kernel.transformers.functional": (
        liger_rms_norm, liger_fused_add_rms_norm, liger_layer_norm, liger_group_norm,
    ),
    "quack.rmsnorm": (rmsnorm, layernorm_fwd, layernorm_bwd),
    "apex.normalization.fused_layer_norm": (fused_layer_norm_affine, fused_rms_norm_affine),
}  # fmt: skip


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, functions in STAND_INS.items():
        module = ModuleType(name)
        for function in functions:
            setattr(module, function.__name__, function)
        parts = name.split(".")
        for end in range(1, len(parts)):
            parent, child = ".".join(parts[:end]), ".".join(parts[: end + 1])
            monkeypatch.setitem(sys.modules, parent, sys.modules.get(parent) or ModuleType(parent))
            monkeypatch.setitem(sys.modules, child, module if child == name else ModuleType(child))
            monkeypatch.setattr(sys.modules[parent], parts[end], sys.modules[child], raising=False)
    monkeypatch.setattr("ics_bench.kernels.differentiable._is_installed", lambda module: True)


class LigerHere(Liger):
    devices = frozenset({"cpu"})


class QuackHere(Quack):
    devices = frozenset({"cpu"})


class ApexHere(Apex):
    devices = frozenset({"cpu"})

    def adapted(self, problem: Problem, device: str) -> Problem:
        return super().adapted(problem, "cuda")


def _offered(provider: Provider) -> Iterator[Problem]:
    for norm in sorted(provider.norms):
        for dtype in sorted(provider.dtypes):
            for direction in ("forward", "backward"):
                problem = Problem(norm, direction, (4, 16, 6, 6) if norm == "group" else (16, 96), dtype, groups=2)
                yield problem
                yield from (one for one in variants(problem) if provider.why_not(one, "cpu") is None)


@pytest.mark.parametrize("provider", [LigerHere(), QuackHere(), ApexHere()], ids=lambda p: p.summary)
def test_every_norm_that_an_adapter_offers_is_the_norm(provider: Provider) -> None:
    offered = list(_offered(provider))
    assert {problem.dtype for problem in offered} == {"float32", "bfloat16", "float16"}
    assert {problem.options for problem in offered} >= ({()} if not provider.options else {(), ("zero_centered",)})
    for problem in offered:
        verdict = check(provider, problem, seed=3, device="cpu", adversarial=False)
        assert 0.0 < verdict.error_over_bound <= 1.0, (problem, verdict.worst)


def test_the_default_mode_of_ligers_rms_norm_rounds_twice_and_would_be_refused() -> None:
    class Llama(LigerHere):
        def function(self, problem, tensors):
            return lambda x, weight, bias: liger_rms_norm(x, weight, problem.eps, in_place=False)

    problem = Problem("rms", "forward", (64, 256), "bfloat16")
    assert check(Llama(), problem, seed=3, device="cpu", adversarial=False).error_over_bound > 1.0
    assert check(LigerHere(), problem, seed=3, device="cpu", adversarial=False).correct


def test_apex_gets_parameters_in_the_dtype_of_x() -> None:
    problem = Problem("layer", "forward", (8, 16), "bfloat16")
    assert ApexHere().adapted(problem, "cpu").parameter_dtype == "bfloat16"
    assert ApexHere().adapted(replace(problem, dtype="float32"), "cpu").parameter_dtype == "float32"


def test_what_quacks_layer_norm_keeps_is_not_counted_as_autograd_does_not_know_it() -> None:
    problem = Problem("layer", "forward", (8, 16))
    assert kept_bytes(QuackHere(), problem, draw(problem, "normal", 0)) is None
    rms = Problem("rms", "forward", (8, 16))
    assert kept_bytes(QuackHere(), rms, draw(rms, "normal", 0)) > 0
