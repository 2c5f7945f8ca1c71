"""The least-squares problems of `conditioning` and the exact number of gradient steps that they take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ics_bench.probes.conditioning import Conditioning, Preprocessing, conditioning, drop_constant, preprocess
from ics_bench.subjects.tables import real_table

GAUSSIAN_ROWS, GAUSSIAN_FEATURES, TEACHER_NOISE = 5000, 30, 0.5
MOST_STEPS = 1 << 62


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a data set.

    Parameters
    ----------
    x : Tensor
        Raw features ``(n, features)``, float64, none constant.
    y : Tensor
        Targets ``(n, outputs)``, one-hot for classes.
    dropped : tuple of int
        Features left out, constant among these rows.
    """

    x: torch.Tensor
    y: torch.Tensor
    dropped: tuple[int, ...]


def rows(data: str, seed: int | None, share: float) -> Rows:
    """Take a random share of a data set's rows, or all of them in their order without a seed."""
    stream = np.random.default_rng(seed)
    if data == "gaussian":
        x, y = _gaussian(stream)
    else:
        x, y = _real(data)
    if seed is not None:
        chosen = stream.permutation(len(x))[: round(share * len(x))]
        x, y = x[chosen], y[chosen]
    kept, dropped = drop_constant(torch.from_numpy(x))
    return Rows(kept, torch.from_numpy(y), dropped)


def _real(data: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Raw features, without the standardisation that training data get."""
    x, labels = real_table(data)
    return x, np.eye(int(labels.max()) + 1)[labels]


def _gaussian(stream: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = stream.standard_normal((GAUSSIAN_ROWS, GAUSSIAN_FEATURES))
    teacher = stream.standard_normal((GAUSSIAN_FEATURES, 1)) / math.sqrt(GAUSSIAN_FEATURES)
    return x, x @ teacher + TEACHER_NOISE * stream.standard_normal((GAUSSIAN_ROWS, 1))


def spectrum(sample: Rows, how: Preprocessing | str) -> tuple[Conditioning, tuple[str, ...]]:
    """Conditioning of prepared rows, and what was dropped to make it finite, in words."""
    found = conditioning(preprocess(sample.x, how))  # type: ignore[arg-type]
    notes = []
    if sample.dropped:
        notes.append(f"dropped {len(sample.dropped)} constant features, with which the matrix is singular")
    if found.deficient:
        notes.append(f"singular: rank {found.rank} of {found.size}")
    return found, tuple(notes)


def descent_steps(sample: Rows, how: Preprocessing | str, tolerance: float) -> float:
    """Count the steps of gradient descent from zero weights at the rate 1/λ_max; see `Conditioning` in `conditioning`.

    Parameters
    ----------
    sample : Rows
    how : str
    tolerance : float
        Share of the targets' variance by which the loss may exceed its minimum.

    Returns
    -------
    float
        Whole number of steps, ``inf`` beyond 2⁶².
    """
    n = len(sample.x)
    ones = torch.ones(n, 1, dtype=torch.float64)
    z = torch.cat([ones, preprocess(sample.x, how)], dim=1) / math.sqrt(n)  # type: ignore[arg-type]
    u, values, _ = torch.linalg.svd(z, full_matrices=False)
    energy = (u.T @ sample.y / math.sqrt(n)).square().sum(dim=1)
    variance = float((sample.y - sample.y.mean(dim=0)).square().sum(dim=1).mean())
    shares = (values / values[0]).square().clamp(max=1.0)
    return _first(torch.log1p(-shares), energy, tolerance * variance)


def _first(logarithms: torch.Tensor, energy: torch.Tensor, allowed: float) -> float:
    """Smallest t ≥ 0 with Σ energy·exp(2t·logarithm) ≤ allowed; the sum falls with t."""

    def excess(steps: int) -> float:
        return float((energy * torch.exp(2.0 * steps * logarithms)).sum()) if steps else float(energy.sum())

    high = 1
    while excess(high) > allowed:
        high *= 2
        if high > MOST_STEPS:
            return math.inf
    low = -1 if high == 1 else high // 2  # excess(low) > allowed, with t = -1 standing for "not even at 0"
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if excess(middle) <= allowed else (middle, high)
    return float(high)
