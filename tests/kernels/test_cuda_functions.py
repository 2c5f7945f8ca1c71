"""Our kernels as a user calls them: against torch's own norms and gradients, on the host; and what they refuse."""

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from host_gpu import COMPILER, HostGpu
from torch.nn import functional

from ics_bench.core import UsageError
from ics_bench.kernels.cuda import functions, launch
from ics_bench.kernels.cuda.functions import (
    add_layer_norm,
    add_rms_norm,
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
)
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.spec import Problem

needs_host = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"building the kernels needs {COMPILER}")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.fixture
def on_host(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> HostGpu:
    """Let the functions take tensors on the processor."""
    gpu = HostGpu(libraries)
    monkeypatch.setattr(functions, "engine_of", lambda device: gpu)
    return gpu


def _normal(*shape: int, seed: int = 0, **options: object) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(**options)


def _agree(ours, theirs, x: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare results and gradients; return our result and our gradient of x."""
    found = []
    for function in (ours, theirs):
        leaves = [t.detach().clone().requires_grad_() for t in (x, *parameters)]
        y = function(*leaves)
        y.backward(_normal(*y.shape, seed=9, dtype=y.dtype))
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for mine, other in zip(*found, strict=True):
        assert mine.dtype == other.dtype
        close = 1e-4 if mine.dtype == torch.float32 else 2e-2
        torch.testing.assert_close(mine, other, rtol=close, atol=close)
    return found[0][0], found[0][1]


@needs_host
def test_rows_of_any_rank_with_and_without_parameters(on_host: HostGpu) -> None:
    x, weight, bias = _normal(2, 3, 20), _normal(20, seed=1), _normal(20, seed=2)
    _agree(layer_norm, lambda x, w, b: functional.layer_norm(x, [20], w, b), x, weight, bias)
    _agree(layer_norm, lambda x: functional.layer_norm(x, [20]), x)
    _agree(rms_norm, lambda x, w: functional.rms_norm(x, [20], w, 1e-5), x, weight)
    _agree(rms_norm, lambda x: functional.rms_norm(x, [20], eps=1e-5), _normal(20))


@needs_host
def test_zero_centred_weights_scale_by_one_more(on_host: HostGpu) -> None:
    x, weight, bias = _normal(2, 3, 20), _normal(20, seed=1), _normal(20, seed=2)
    _agree(
        lambda x, w, b: layer_norm(x, w, b, zero_centered=True),
        lambda x, w, b: functional.layer_norm(x, [20], 1 + w, b),
        x, weight, bias,
    )  # fmt: skip
    ours = lambda x, w: rms_norm(x, w, zero_centered=True)  # noqa: E731
    _agree(ours, lambda x, w: functional.rms_norm(x, [20], 1 + w, 1e-5), x, weight)
    _agree(lambda x: rms_norm(x, zero_centered=True), lambda x: functional.rms_norm(x, [20], eps=1e-5), x)


def _add_and(norm, *fixed):
    """A residual add and torch's norm, as a user writes them."""

    def function(x: torch.Tensor, residual: torch.Tensor, *parameters: torch.Tensor):
        s = x + residual
        return norm(s, [20], *parameters, *fixed), s

    return function


def _streams(function, dtype: torch.dtype, parameters: int, used: str) -> list[torch.Tensor]:
    """Results and gradients where y, s or both go into the loss."""
    leaves = [_normal(2, 3, 20, seed=seed, dtype=dtype).requires_grad_() for seed in range(2)]
    leaves += [_normal(20, seed=seed).requires_grad_() for seed in range(2, 2 + parameters)]
    y, s = function(*leaves)
    loss = sum(_normal(2, 3, 20, seed=9).mul(t.float()).sum() for name, t in (("y", y), ("s", s)) if name in used)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [y.detach(), s.detach(), *(g for g in gradients if g is not None)]


@needs_host
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("used", ["ys", "y", "s"])
def test_a_residual_is_added_and_gets_the_gradient_of_the_sum(on_host: HostGpu, dtype: torch.dtype, used: str) -> None:
    pairs = [
        (add_layer_norm, _add_and(functional.layer_norm), 2),
        (add_rms_norm, _add_and(functional.rms_norm, 1e-5), 1),
    ]
    for ours, theirs, parameters in pairs:
        found, expected = (_streams(function, dtype, parameters, used) for function in (ours, theirs))
        assert found[1].equal(expected[1])
        close = 1e-4 if dtype == torch.float32 else 3e-2
        for mine, other in zip(found, expected, strict=True):
            assert mine.dtype == other.dtype
            torch.testing.assert_close(mine, other, rtol=close, atol=close)


@needs_host
def test_x_and_its_residual_have_gradients_of_their_own(on_host: HostGpu) -> None:
    x, residual = (_normal(3, 2, 8, seed=seed).requires_grad_() for seed in range(2))
    y, s = add_rms_norm(x, residual, _normal(8), zero_centered=True)
    (y.square() + s).sum().backward()
    assert x.grad.equal(residual.grad)
    assert x.grad.data_ptr() != residual.grad.data_ptr()  # an optimizer may write over either
    only = _normal(8, 2, 3).requires_grad_()
    add_layer_norm(only.mT, residual.detach().mT.reshape(8, 3, 2))[0].square().sum().backward()
    assert only.grad.shape == only.shape


@needs_host
@pytest.mark.parametrize("shape", [(3, 20), (2, 3, 20)])
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_the_norm_of_a_sum_may_be_changed_in_place_and_the_sum_may_not(
    on_host: HostGpu, norm: str, shape: tuple[int, ...]
) -> None:
    ours, theirs = {
        "layer": (add_layer_norm, _add_and(functional.layer_norm)),
        "rms": (add_rms_norm, _add_and(functional.rms_norm, 1e-5)),
    }[norm]
    found = []
    for function in (ours, theirs):
        leaves = [_normal(*shape, seed=seed).requires_grad_() for seed in range(2)]
        weight = _normal(20, seed=2).requires_grad_()
        y, s = function(*leaves, weight)
        y.mul_(2)
        torch.relu_(y)
        assert y.shape == s.shape == shape
        (_normal(*shape, seed=9) * y + s).sum().backward()
        found.append([y.detach(), *(leaf.grad for leaf in (*leaves, weight))])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    y, s = ours(*(_normal(*shape, seed=seed).requires_grad_() for seed in range(2)))
    s.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_the_shape_of_a_sum_is_read_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(functions, "record_with_residual", lambda *arguments: seen.append(arguments))
    copied = "reshape", "contiguous", "clone"
    for name in copied:
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("x was copied"))
    x = torch.empty(5, 12, 4).mT
    add_layer_norm(x, x)
    ((problem, passed, *_),) = seen
    assert problem == Problem("layer", "forward", (20, 12), residual=True)
    assert passed is x


def _launch_nothing(monkeypatch: pytest.MonkeyPatch, gpu: HostGpu) -> None:
    monkeypatch.setattr(gpu, "run", lambda *_: pytest.fail("a kernel was launched"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda p, x: functions.forward_with_residual(p, x, x),
            "layer norm forward, residual=False, takes no 'residual': leave it out, or set the problem's residual",
        ),
        (
            lambda p, x: functions.backward(p, x, x, None, torch.zeros(3), torch.ones(3), ds=x),
            "layer norm backward, residual=False, takes no 'ds': leave it out, or set the problem's residual",
        ),
        (
            lambda p, x: functions.forward(replace(p, residual=True), x),
            "layer norm forward needs 'residual': give it, or take a problem without a residual",
        ),
        (
            lambda p, x: functions.backward(replace(p, residual=True), x, x, None, torch.zeros(3), torch.ones(3)),
            "layer norm backward needs 'ds': give it, or take a problem without a residual",
        ),
        (lambda p, x: functions.backward(p, x, x), "layer norm backward needs 'mean': the forward pass returns it"),
        (
            lambda p, x: functions.forward_with_residual(replace(p, residual=True), x, x.to("meta")),
            r"'residual' is on meta and 'x' on cpu; move it with \.to\('cpu'\)",
        ),
        (
            lambda p, x: functions.forward(p, x, torch.ones(8, device="meta")),
            r"'weight' is on meta and 'x' on cpu; move it with \.to\('cpu'\)",
        ),
    ],
)
def test_the_plain_functions_say_what_is_missing_too_much_or_elsewhere_before_they_launch(
    on_host: HostGpu, monkeypatch: pytest.MonkeyPatch, call, said: str
) -> None:
    _launch_nothing(monkeypatch, on_host)
    with pytest.raises(UsageError, match=said):
        call(Problem("layer", "forward", (3, 8)), _normal(3, 8))


@needs_host
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_channels_keep_the_layout_of_their_input(on_host: HostGpu, layout: torch.memory_format) -> None:
    x = _normal(3, 8, 5, 6).to(memory_format=layout)
    weight, bias = _normal(8, seed=1), _normal(8, seed=2)
    theirs = functional.group_norm
    found = [
        _agree(lambda x, w, b: group_norm(x, 2, w, b), lambda x, w, b: theirs(x, 2, w, b), x, weight, bias),
        _agree(instance_norm, lambda x: functional.instance_norm(x), x),
        _agree(
            lambda x, w, b: batch_norm(x, torch.zeros(8), torch.ones(8), w, b, training=True),
            lambda x, w, b: functional.batch_norm(x, torch.zeros(8), torch.ones(8), w, b, training=True),
            x, weight, bias,
        ),
    ]  # fmt: skip
    for y, dx in found:
        assert y.is_contiguous(memory_format=layout)
        assert dx.is_contiguous(memory_format=layout)


@needs_host
def test_running_statistics_follow_training_and_serve_evaluation(on_host: HostGpu) -> None:
    x = _normal(6, 8) * 3 + 1
    ours, theirs = ([torch.zeros(8), torch.ones(8)] for _ in range(2))
    batch_norm(x, *ours, training=True, momentum=0.3)
    functional.batch_norm(x, *theirs, training=True, momentum=0.3)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    _agree(lambda x: batch_norm(x, *ours), lambda x: functional.batch_norm(x, *ours), x)


@needs_host
def test_autograd_is_told_that_running_statistics_were_written(on_host: HostGpu) -> None:
    x, mean, var = _normal(6, 8), torch.zeros(8), torch.ones(8)
    scale = torch.ones(8, requires_grad=True)
    kept = (scale * mean).sum() + (scale / var).sum()
    batch_norm(x, mean, var)
    assert (mean._version, var._version) == (0, 0)
    batch_norm(x, mean, var, training=True)
    assert mean._version > 0
    assert var._version > 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.backward()
    with torch.inference_mode():  # whose tensors have no version
        batch_norm(_normal(6, 8), torch.zeros(8), torch.ones(8), training=True)


@needs_host
def test_parameters_in_half_precision_get_gradients_in_half_precision(on_host: HostGpu) -> None:
    x, weight, bias = _normal(4, 24), *(_normal(24, seed=seed, dtype=torch.bfloat16) for seed in (1, 2))
    _agree(layer_norm, lambda x, w, b: functional.layer_norm(x, [24], w.float(), b.float()), x, weight, bias)


@needs_host
def test_strides_that_the_kernels_cannot_read_are_copied(on_host: HostGpu) -> None:
    _agree(layer_norm, lambda x: functional.layer_norm(x, [12]), _normal(12, 5).t())
    _agree(instance_norm, lambda x: functional.instance_norm(x), _normal(3, 8, 5, 12)[..., ::2])


@needs_host
def test_gradients_of_gradients_are_refused(on_host: HostGpu) -> None:
    x = _normal(3, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(layer_norm(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@needs_host
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: layer_norm(_normal(3, 8).double()), "no dtype 'float64'"),
        (lambda: layer_norm(_normal(3, 8), _normal(7)), r"'weight' is \(7,\).*takes \(8,\)"),
        (lambda: layer_norm(torch.tensor(1.0)), "no dimension"),
        (lambda: add_rms_norm(_normal(3, 8), _normal(8)), r"x is \(3, 8\) and its residual \(8,\): expand"),
        (lambda: add_rms_norm(_normal(3, 8), _normal(3, 8).bfloat16()), "'residual' is .* of torch.bfloat16"),
        (lambda: group_norm(_normal(3, 8, 4), 3), "3 groups do not divide 8"),
        (lambda: group_norm(_normal(3, 8, 4), 0), "0 groups: take 1 or more, that divide the 8 features"),
        (lambda: group_norm(_normal(3, 8, 4), -2), "-2 groups: take 1 or more"),
        (lambda: batch_norm(_normal(1, 8), torch.zeros(8), torch.ones(8), training=True), "more than one value"),
        (lambda: batch_norm(_normal(3, 8), torch.zeros(8), torch.ones(8, dtype=torch.float64)), "torch.float32"),
        (lambda: batch_norm(_normal(3, 8), None, None, training=True), "needs 'running_mean'"),
        (
            lambda: batch_norm(_normal(3, 8), torch.zeros(8), torch.ones(8), _normal(8).requires_grad_()),
            "no gradients of weight",
        ),
        (lambda: batch_norm(_normal(3, 8), torch.zeros(16)[::2], torch.ones(8), training=True), "contiguous"),
    ],
)
def test_what_the_functions_cannot_take_is_named(on_host: HostGpu, call, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_the_plain_functions_do_not_take_other_strides(on_host: HostGpu) -> None:
    with pytest.raises(UsageError, match="strides"):
        functions.forward(Problem("layer", "forward", (12, 5)), _normal(5, 12).t())


def test_tensors_on_the_processor_are_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError, match=r"on 'cpu'; move them with \.cuda\(\)"):
        layer_norm(_normal(3, 8))


@needs_no_gpu
def test_without_a_gpu_the_engine_and_the_provider_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("layer", "forward", (4, 8))
    provider = load_provider("cuda")
    assert "no device 'cpu'" in str(provider.why_not(problem, "cpu"))
    assert provider.why_not(problem, "cuda") == "torch sees no CUDA device"
    expected = "torch sees no CUDA device" if importlib.util.find_spec("cupy") else "ics-bench\\[cuda\\]"
    with pytest.raises(UsageError, match=expected):
        launch.engine_of(torch.device("cuda"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'ics-bench\[cuda\]'"):
        launch.engine_of(torch.device("cuda", 0))
