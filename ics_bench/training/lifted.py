"""Layers lifted to a leading replica axis: what `torch.func.vmap` does to them, in fewer passes over memory.

vmap splits a linear layer or a norm into many elementwise passes, which at the sizes of these nets cost more than
the matrix multiplies. A lifted layer takes ``(R, B, F)`` input and ``(R, *shape)`` parameters and does the same
arithmetic. Modules around the layers run as they are, so lifting is tried out before it is trusted: see
`ics_bench.training.stack.choose_mode`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.functional import layer_norm, rms_norm
from torch.nn.modules.batchnorm import _BatchNorm


class LiftedLinear(nn.Linear):
    """Linear layers side by side."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map ``(R, B, in)`` to ``(R, B, out)``."""
        return torch.baddbmm(self.bias.unsqueeze(1), input, self.weight.mT)


class LiftedLayerNorm(nn.LayerNorm):
    """Layer norms side by side, each with its own affine map."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``(R, B, F)`` over the features."""
        normalized = layer_norm(input, self.normalized_shape, eps=self.eps)
        return torch.addcmul(self.bias.unsqueeze(1), normalized, self.weight.unsqueeze(1))


class LiftedRMSNorm(nn.RMSNorm):
    """RMS norms side by side, each with its own gain."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``(R, B, F)`` over the features."""
        assert self.weight is not None
        return rms_norm(x, list(self.normalized_shape), eps=self.eps) * self.weight.unsqueeze(1)


class LiftedBatchNorm(_BatchNorm):
    """Batch norms side by side, each with its own affine map and running statistics."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``(R, B, F)`` over the batch in training, by running statistics in evaluation."""
        running_mean, running_var, tracked = self.running_mean, self.running_var, self.num_batches_tracked
        assert running_mean is not None
        assert running_var is not None
        assert tracked is not None
        if not self.training:
            scale = self.weight * (running_var + self.eps).rsqrt()
            return torch.addcmul((self.bias - running_mean * scale).unsqueeze(1), input, scale.unsqueeze(1))
        y, mean, variance = _BatchNormalize.apply(input, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        batch, momentum = input.shape[1], self.momentum
        assert momentum is not None
        with torch.no_grad():
            tracked.add_(1)
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (batch / (batch - 1)), momentum)
        return y  # type: ignore[no-any-return]


class _BatchNormalize(torch.autograd.Function):
    """y = w (x - μ)/√(σ² + ε) + b over the batch of ``(R, B, F)``, with μ and σ² (Ioffe & Szegedy 2015)."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        variance = centred.square().mean(1, keepdim=True)
        rstd = (variance + eps).rsqrt()
        ctx.save_for_backward(centred, rstd, weight)
        mean, variance = mean.squeeze(1), variance.squeeze(1)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias.unsqueeze(1), centred, weight.unsqueeze(1) * rstd), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        centred, rstd, weight = ctx.saved_tensors
        dy = gradients[0]
        batch = dy.shape[1]
        dbias = dy.sum(1, keepdim=True)
        dweight = (dy * centred).sum(1, keepdim=True) * rstd
        scale = weight.unsqueeze(1) * rstd
        dx = torch.addcmul(-scale * dbias / batch, centred, -scale * rstd * dweight / batch)
        dx.addcmul_(dy, scale)
        return dx, dweight.squeeze(1), dbias.squeeze(1), None


def _lifted_class(module: nn.Module) -> type[nn.Module] | None:
    """Find the lifted form of a layer that has one for its options."""
    if type(module) is nn.Linear:
        return LiftedLinear if module.bias is not None else None
    if isinstance(module, _BatchNorm) and type(module).forward is _BatchNorm.forward:
        usual = module.affine and module.track_running_stats and module.momentum is not None
        return LiftedBatchNorm if usual else None
    if type(module) is nn.LayerNorm:
        usual = len(module.normalized_shape) == 1 and module.weight is not None and module.bias is not None
        return LiftedLayerNorm if usual else None
    if type(module) is nn.RMSNorm:
        return LiftedRMSNorm if len(module.normalized_shape) == 1 and module.weight is not None else None
    return None


def _runs_as_is(module: nn.Module) -> bool:
    """Whether a module without state of its own is known to be indifferent to a leading replica axis."""
    ours = getattr(type(module), "any_leading_axes", False)
    return bool(ours) or type(module) in (nn.Sequential, nn.Identity, nn.ReLU, nn.Tanh, nn.Sigmoid)


def lift(module: nn.Module) -> nn.Module | None:
    """Copy a module with its layers lifted, under the same parameter names; ``None`` if some part is unknown.

    A part with parameters needs a lifted form. One without must be a plain activation or container of
    torch's, or say ``any_leading_axes = True`` of itself: that its forward treats ``(R, B, F)`` as it
    treats ``(B, F)``, and decides nothing by value.
    """
    lifted = copy.deepcopy(module)
    for part in lifted.modules():
        replacement = _lifted_class(part)
        if replacement is not None:
            part.__class__ = replacement
        elif not _runs_as_is(part) or any(True for _ in (*part.parameters(False), *part.buffers(False))):
            return None
    return lifted
