"""Products of the Hessian and of the Gauss–Newton matrix with vectors, without forming either."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ics_bench.probes.objective import Objective, Outputs, Parameters, gradient_of, leaves_of

Product = Callable[[Sequence[torch.Tensor | None]], Parameters]
"""Maps a direction to a symmetric matrix times it. ``None`` is zero, and spares the work that it would take."""


def hessian_product(objective: Objective, at: Parameters) -> Product:
    """Make ``v ↦ ∇²L(θ)·v`` (Pearlmutter 1994): the graph of the gradient is built once and passed again for each v."""
    with torch.enable_grad():
        leaves = leaves_of(at)
        gradient = gradient_of(objective(leaves), leaves, create_graph=True)
    curved = [place for place, g in enumerate(gradient) if g.requires_grad]

    def product(vector: Sequence[torch.Tensor | None]) -> Parameters:
        pairs = [(gradient[place], v) for place in curved if (v := vector[place]) is not None]
        if not pairs:
            return tuple(torch.zeros_like(p) for p in at)
        found = torch.autograd.grad(
            [g for g, _ in pairs], leaves, [v for _, v in pairs], retain_graph=True, allow_unused=True
        )
        return tuple(torch.zeros_like(p) if h is None else h for h, p in zip(found, at, strict=True))

    return product


def gauss_newton_product(outputs: Outputs, loss: Callable[[torch.Tensor], torch.Tensor], at: Parameters) -> Product:
    """Make ``v ↦ Jᵀ·∇²ℓ·J·v``: J of the outputs by the parameters, ∇²ℓ of the loss by the outputs (Schraudolph 2002).

    J·v is the derivative of ``Jᵀu`` by u, which spares forward-mode differentiation.
    """
    with torch.enable_grad():
        leaves = leaves_of(at)
        found = outputs(leaves)
        dummy = torch.zeros_like(found, requires_grad=True)
        pulled = gradient_of((found * dummy).sum(), leaves, create_graph=True)
        ends = found.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(ends), ends, create_graph=True)

    def product(vector: Sequence[torch.Tensor | None]) -> Parameters:
        pairs = [(p, v) for p, v in zip(pulled, vector, strict=True) if p.requires_grad and v is not None]
        if not pairs:
            return tuple(torch.zeros_like(p) for p in at)
        (pushed,) = torch.autograd.grad([p for p, _ in pairs], dummy, [v for _, v in pairs], retain_graph=True)
        (weighted,) = torch.autograd.grad(slope, ends, pushed, retain_graph=True)
        back = torch.autograd.grad(found, leaves, weighted, retain_graph=True, allow_unused=True)
        return tuple(torch.zeros_like(p) if b is None else b for b, p in zip(back, at, strict=True))

    return product
