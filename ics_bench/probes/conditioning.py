"""Condition number of a layer's inputs, as gradient descent on its weights and bias meets it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

Preprocessing = Literal["raw", "centred", "standardised", "whitened"]
PREPROCESSINGS: tuple[Preprocessing, ...] = get_args(Preprocessing)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Spectrum of a second-moment matrix, in brief.

    Parameters
    ----------
    condition : float
        Largest over smallest eigenvalue; ``inf`` where the matrix is singular.
    effective_condition : float
        Largest over smallest eigenvalue that is not zero: what gradient descent meets, which never
        moves along the others. NaN for a zero matrix.
    rank, size : int
    largest : float
        Largest eigenvalue: 2 over it is the largest stable rate of gradient descent on ½‖·‖²/n.
    """

    condition: float
    effective_condition: float
    rank: int
    size: int
    largest: float

    @property
    def deficient(self) -> bool:
        """Whether the matrix is singular to working precision."""
        return self.rank < self.size


def conditioning(x: torch.Tensor, bias: bool = True) -> Conditioning:
    """Conditioning of XᵀX/n, by the singular values of X in float64.

    The Gram matrix itself is never formed: its condition number is the square of that of X, and would
    lose its smallest eigenvalues beyond 1e16, X's own only beyond 1e32.

    Parameters
    ----------
    x : Tensor
        Inputs ``(n, features)``.
    bias : bool
        Whether to put a column of ones before the features, as a layer with a bias does.

    Raises
    ------
    ValueError
        For an empty input, one that is no matrix, or entries that are not finite.
    """
    z = _matrix(x)
    if bias:
        z = torch.cat([torch.ones(len(z), 1, dtype=z.dtype, device=z.device), z], dim=1)
    values = torch.linalg.svdvals(z / math.sqrt(len(z)))
    return from_singular_values(values, z.shape[1], max(z.shape))


def from_singular_values(values: torch.Tensor, size: int, longest: int) -> Conditioning:
    """Summarise XᵀX/n from the singular values of X/√n.

    Parameters
    ----------
    values : Tensor
        Descending, ``(min(n, size),)``, float64.
    size : int
        Columns of X, which may be more than its singular values.
    longest : int
        Larger side of X: a singular value below ``longest·ε·largest`` counts as zero (the rounding of
        an SVD; Golub & Van Loan, Matrix Computations, §5.5.8).
    """
    top = float(values[0])
    kept = values[values > longest * torch.finfo(torch.float64).eps * top]
    rank = len(kept)
    effective = (top / float(kept[-1])) ** 2 if rank else math.nan
    return Conditioning(effective if rank == size else math.inf, effective, rank, size, top**2)


def drop_constant(x: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Leave out the columns that hold one value throughout, and say which they were.

    A constant column repeats the bias, so the matrix with both is singular whatever else it holds.
    """
    z = _matrix(x)
    constant = (z == z[0]).all(dim=0)
    return x[:, ~constant], tuple(int(i) for i in constant.nonzero().flatten())


def preprocess(x: torch.Tensor, how: Preprocessing) -> torch.Tensor:
    """Centre, standardise or whiten the columns of ``x``, in float64.

    Whitened inputs are the left singular vectors of the centred matrix times √n: uncorrelated, with
    variance 1 (divisor n). Each step includes those before it.

    Raises
    ------
    ValueError
        If a constant column is to be standardised, or a rank-deficient matrix whitened: neither has an
        answer; see `drop_constant`.
    """
    if how not in PREPROCESSINGS:
        raise ValueError(f"preprocessing {how!r} is not one of {', '.join(PREPROCESSINGS)}")
    z = _matrix(x)
    if how == "raw":
        return z
    centred = z - z.mean(dim=0)
    if how == "centred":
        return centred
    std = centred.square().mean(dim=0).sqrt()
    if bool((std == 0).any()) or drop_constant(z)[1]:
        raise ValueError(f"columns {list(drop_constant(z)[1])} are constant and have no scale; drop them")
    standard = centred / std
    if how == "standardised":
        return standard
    u, values, _ = torch.linalg.svd(standard, full_matrices=False)
    found = from_singular_values(values, standard.shape[1], max(standard.shape))
    if found.deficient:
        raise ValueError(f"rank {found.rank} of {found.size}: directions without variance cannot be whitened")
    whitened: torch.Tensor = u * math.sqrt(len(z))
    return whitened


def _matrix(x: torch.Tensor) -> torch.Tensor:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"expected a matrix (n, features), got shape {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("an entry is not finite, so there is no spectrum")
    return x.detach().to(torch.float64)
