"""Chooses how replicas are run together: the fastest way that computes what they compute alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ics_bench.training.lifted import lift
from ics_bench.training.losses import CROSS_ENTROPY, Loss
from ics_bench.training.stack import Mode, Stack

AGREEMENT = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Relative difference between replicas run together and alone beyond which the former is not trusted.

Far above rounding, far below what a wrong statistic does."""


def choose_mode(
    modules: Sequence[nn.Module], x: torch.Tensor, y: torch.Tensor, loss: Loss = CROSS_ENTROPY
) -> tuple[Mode, str]:
    """Find the fastest mode that computes what the modules compute alone.

    Each mode is tried on training passes, an evaluation and the dropping of a replica, and compared.

    Parameters
    ----------
    modules : sequence of nn.Module
        Two replicas.
    x, y : Tensor ``(2, B, *features)``, ``(2, B, ...)``
        A batch for each.
    loss : Loss

    Returns
    -------
    mode : {"lifted", "vmap", "looped"}
    reason : str
        Why the modules must be looped over; empty otherwise.

    Raises
    ------
    Exception
        Whatever the module itself raises when it runs alone.
    """
    alone = _passes(Stack(modules, (0, 1), x.device, "looped", loss), x, y)
    reason = ""
    modes: tuple[Mode, ...] = ("lifted", "vmap") if lift(modules[0]) is not None else ("vmap",)
    for mode in modes:
        try:
            together = _passes(Stack(modules, (0, 1), x.device, mode, loss), x, y)
        except Exception as error:
            reason = f"torch.func.vmap cannot run it ({_first_line(error)})"
            continue
        if _agree(alone, together, AGREEMENT.get(alone[0].dtype, 1e-2)):
            return mode, ""
        reason = "under torch.func.vmap it computes something else than alone"
    return "looped", reason


def _agree(alone: list[torch.Tensor], together: list[torch.Tensor], tolerance: float) -> bool:
    """Compare tensors, each at its own scale, but none below ``tolerance`` of the largest.

    A bias in front of a batch norm has a gradient of zero, and rounding alone decides what is computed.
    Infinities and NaN must stand in the same places.
    """
    scales = [_largest_finite(tensor) for tensor in alone]
    floor = tolerance * max(scales, default=0.0)
    return all(
        one.shape == other.shape
        and torch.allclose(one, other, rtol=0.0, atol=tolerance * max(scale, floor), equal_nan=True)
        for one, other, scale in zip(alone, together, scales, strict=True)
    )


def _largest_finite(tensor: torch.Tensor) -> float:
    finite = tensor[torch.isfinite(tensor)]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _passes(stack: Stack, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    results: list[torch.Tensor] = []
    for kept in (torch.tensor([0, 1]), torch.tensor([1])):  # the second time with one replica dropped
        kept = kept.to(x.device)
        stack.keep(kept)
        for _ in range(2):
            losses, gradients = stack.losses_and_gradients(x[kept], y[kept])
            results += [losses, *gradients]
        with torch.no_grad():
            results.append(stack.outputs(x[kept], training=False))
    return results


def _first_line(error: Any) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:160]
