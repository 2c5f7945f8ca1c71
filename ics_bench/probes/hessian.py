"""The largest eigenvalues of the loss Hessian, by Lanczos iteration over Hessian-vector products."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ics_bench.probes.objective import Parameters, flat, unflat
from ics_bench.probes.products import Product

MAX_ITERATIONS = 150
"""Krylov vectors kept, in float64: 150 of 50 000 entries take 60 MB."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The algebraically largest eigenvalues of a symmetric matrix.

    Parameters
    ----------
    eigenvalues : tuple of float
        Largest first.
    residual : float
        Largest bound on their errors, as a share of the first's size.
    iterations : int
        Products taken.
    """

    eigenvalues: tuple[float, ...]
    residual: float
    iterations: int


def top_eigenvalues(
    product: Product,
    like: Parameters,
    count: int,
    generator: torch.Generator,
    tolerance: float = 1e-3,
    max_iterations: int = MAX_ITERATIONS,
) -> Spectrum:
    """Find the ``count`` largest eigenvalues of the matrix that ``product`` multiplies by.

    Lanczos (1950) from a Gaussian start, with full reorthogonalisation against all earlier vectors, twice,
    so that no eigenvalue is found more than once; vectors and the tridiagonal matrix are float64. It ends when
    each wanted Ritz value has a residual below ``tolerance`` of the largest one's size, when the Krylov space is
    exhausted, or after ``max_iterations``. An eigenvalue of multiplicity m is found once: a single start
    has no second direction in its eigenspace.

    Parameters
    ----------
    product : callable
    like : tuple of Tensor
        A point: shapes, dtypes and device of what ``product`` takes.
    count : int
    generator : torch.Generator
        On the CPU.
    tolerance : float
    max_iterations : int

    Returns
    -------
    Spectrum
        Of fewer than ``count`` eigenvalues only if there are no more to be found. NaN where a product is not finite.

    Raises
    ------
    ValueError
        If ``count`` is not positive or exceeds ``max_iterations``.
    """
    if not 1 <= count <= max_iterations:
        raise ValueError(f"count={count}: expected 1 to max_iterations={max_iterations}")
    size, device = sum(p.numel() for p in like), like[0].device
    start = torch.randn(size, generator=generator, dtype=torch.float64).to(device)
    krylov = torch.empty(min(size, max_iterations), size, dtype=torch.float64, device=device)
    krylov[0] = start / start.norm()
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    while True:
        done = len(diagonal)
        image = flat(product(unflat(krylov[done], like)))
        diagonal.append(float(krylov[done] @ image))
        if not math.isfinite(diagonal[-1]):
            return Spectrum((math.nan,) * count, math.nan, len(diagonal))
        earlier = krylov[: done + 1]
        for _ in range(2):
            image = image - earlier.T @ (earlier @ image)
        rest = float(image.norm())
        values, residuals = _ritz(diagonal, off_diagonal, rest, count)
        scale = max(abs(value) for value in values)
        exhausted = rest <= 1e-10 * scale or len(diagonal) == size
        settled = len(diagonal) > count and residuals <= tolerance * abs(values[0])
        if exhausted or settled or len(diagonal) == max_iterations:
            relative = residuals / abs(values[0]) if values[0] and not exhausted else 0.0
            return Spectrum(tuple(values), relative, len(diagonal))
        off_diagonal.append(rest)
        krylov[done + 1] = image / rest


def _ritz(diagonal: list[float], off_diagonal: list[float], rest: float, count: int) -> tuple[list[float], float]:
    """Return the largest eigenvalues of the tridiagonal matrix and the largest of their residual norms."""
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    if off_diagonal:
        side = torch.tensor(off_diagonal, dtype=torch.float64)
        matrix = matrix + torch.diag(side, 1) + torch.diag(side, -1)
    values, vectors = torch.linalg.eigh(matrix)
    wanted = values.flip(0)[:count]
    ends = vectors[-1].flip(0)[:count].abs()
    return wanted.tolist(), float(rest * ends.max())
