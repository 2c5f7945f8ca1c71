"""How strongly the layers of a net are coupled: the share of curvature that lies between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ics_bench.probes.objective import Parameters
from ics_bench.probes.products import Product

Block = Sequence[int]
"""Places of the parameters that form one layer."""


@dataclass(frozen=True)
class Coupling:
    """Squared Frobenius norms of the blocks of a symmetric matrix, layer by layer.

    Parameters
    ----------
    squares : Tensor ``(L, L)``
        ‖H_lm‖²_F, float64, symmetric.
    """

    squares: torch.Tensor

    @property
    def share(self) -> float:
        """Off-diagonal share Σ_{l≠m}‖H_lm‖² / Σ‖H_lm‖²: 0 if the layers do not see each other; NaN if all are flat."""
        total = float(self.squares.sum())
        return 1.0 - float(self.squares.diagonal().sum()) / total if total else math.nan

    @property
    def correlation(self) -> float:
        """Mean over pairs l ≠ m of ‖H_lm‖/√(‖H_ll‖‖H_mm‖), which rescaling a layer's weights leaves as it is.

        Like a correlation it is at most 1 for a positive semi-definite matrix, but not for others: a layer that is
        curved towards others alone makes it infinite. A layer that is flat altogether makes it NaN.
        """
        own = self.squares.diagonal()
        if len(own) < 2:
            return 0.0
        scaled = (self.squares / (own[:, None] * own[None, :]).sqrt()).sqrt()
        off = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
        return float(scaled[off].mean())


def coupling(
    product: Product, like: Parameters, blocks: Sequence[Block], generator: torch.Generator, probes: int = 4
) -> Coupling:
    """Estimate the block norms by random probes: E‖H_{·l}v‖² = ‖H_{·l}‖²_F for v = ±1 on layer l (Hutchinson 1990).

    Each probe lies in one layer, so one product gives that layer's whole column of blocks. The estimate of a
    square is unbiased; of the two triangles' estimates the mean is taken.

    Parameters
    ----------
    product : callable
        The Hessian's or the Gauss–Newton matrix's, see `ics_bench.probes.products`.
    like : tuple of Tensor
        A point: shapes, dtypes and device of what ``product`` takes.
    blocks : sequence of sequences of int
        Places in ``like`` of each layer's parameters; parameters in no block are held fixed.
    generator : torch.Generator
        On the CPU.
    probes : int
        Products per layer.
    """
    columns = []
    for block in blocks:
        total = torch.zeros(len(blocks), dtype=torch.float64, device=like[0].device)
        for _ in range(probes):
            signs = {place: _signs(like[place], generator) for place in block}
            image = product([signs.get(place) for place in range(len(like))])
            total += _squares(image, blocks)
        columns.append(total / probes)
    estimate = torch.stack(columns, dim=1)
    return Coupling((estimate + estimate.T) / 2)


def exact_coupling(product: Product, like: Parameters, blocks: Sequence[Block]) -> Coupling:
    """Take the block norms exactly, one product for each parameter entry: for small nets."""
    columns = []
    for block in blocks:
        total = torch.zeros(len(blocks), dtype=torch.float64, device=like[0].device)
        for place in block:
            for entry in range(like[place].numel()):
                unit = torch.zeros_like(like[place])
                unit.view(-1)[entry] = 1
                direction = [unit if other == place else None for other in range(len(like))]
                total += _squares(product(direction), blocks)
        columns.append(total)
    return Coupling(torch.stack(columns, dim=1))


def weight_blocks(at: Parameters) -> tuple[tuple[int, ...], ...]:
    """One block for each weight matrix or kernel; biases and the gains of norms are left out.

    Nets that differ in their norms alone then have the same blocks. A weight norm's gains are a column,
    ``(out, 1)``, one number a unit, and no matrix.
    """
    return tuple((place,) for place, p in enumerate(at) if p.dim() >= 2 and p.numel() > len(p))


def _signs(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    drawn = torch.randint(0, 2, like.shape, generator=generator, dtype=torch.int8)
    return (2 * drawn - 1).to(like)


def _squares(image: Parameters, blocks: Sequence[Block]) -> torch.Tensor:
    sums = [sum(float(image[place].to(torch.float64).square().sum()) for place in block) for block in blocks]
    return torch.tensor(sums, dtype=torch.float64, device=image[0].device)
