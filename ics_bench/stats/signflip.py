"""Exact paired sign-flip permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from ics_bench.stats.interval import finite_sample

Alternative = Literal["greater", "less", "two-sided"]

_MOST_EXACT = 20  # 2^20 sums fill 8 MiB and take some 10 ms
_CHUNK = 4096  # flips drawn at once beyond that
_SURE = 0.99


@dataclass(frozen=True, slots=True)
class SignFlip:
    """The result of a sign-flip test.

    Parameters
    ----------
    p : float
        Share of the sign patterns at least as extreme as the observed one. Drawn at random, it
        counts the observed pattern too, (1 + k) / (1 + draws), and is valid without the bound.
    p_bound : float
        The exact p lies below this: equal to ``p`` where it is exact, else the 99 % Clopper–Pearson
        upper bound on it.
    exact : bool
        Whether every sign pattern was visited.
    n : int
        Number of pairs.
    """

    p: float
    p_bound: float
    exact: bool
    n: int


def sign_flip(
    differences: Sequence[float] | NDArray[np.float64],
    alternative: Alternative = "two-sided",
    *,
    draws: int = 99_999,
    seed: int = 0,
) -> SignFlip:
    """Test whether paired differences are symmetric about zero (Fisher 1935, §21).

    Under the null each difference is as likely with either sign, so all 2ⁿ sign patterns of the sum
    are equally likely. The smallest one-sided p is 2⁻ⁿ.

    Parameters
    ----------
    differences : sequence of float, shape (n,)
        One finite difference a pair.
    alternative : {"greater", "less", "two-sided"}
    draws : int
        Random patterns for more than 20 pairs; up to 20, every pattern is visited.
    seed : int
        Seed of the random patterns.

    Raises
    ------
    ValueError
        For an empty sample, a difference that is not finite, or an unknown alternative.

    Examples
    --------
    >>> sign_flip([0.3, 0.1, 0.2], "greater").p
    0.125
    """
    values = finite_sample(differences, least=1)
    if alternative not in ("greater", "less", "two-sided"):
        raise ValueError(f"alternative={alternative!r} is not greater, less or two-sided")
    if alternative == "less":
        values = -values
    two_sided = alternative == "two-sided"
    # Patterns that tie in exact arithmetic differ in the last digits of their sums.
    threshold = float(abs(values.sum()) if two_sided else values.sum()) - 1e-12 * float(np.abs(values).sum())
    if values.size <= _MOST_EXACT:
        p = float(np.mean(_extreme(_all_sums(values), threshold, two_sided)))
        return SignFlip(p, p, True, values.size)
    count = _count_random(values, threshold, two_sided, draws, seed)
    bound = float(scipy.special.betaincinv(count + 1, draws - count, _SURE)) if count < draws else 1.0
    return SignFlip((1 + count) / (1 + draws), bound, False, values.size)


def _extreme(sums: NDArray[np.float64], threshold: float, two_sided: bool) -> NDArray[np.bool_]:
    return (np.abs(sums) if two_sided else sums) >= threshold


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _count_random(values: NDArray[np.float64], threshold: float, two_sided: bool, draws: int, seed: int) -> int:
    generator = np.random.default_rng(seed)
    count = 0
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        signs = 2.0 * generator.integers(0, 2, size=(size, values.size)) - 1.0
        count += int(_extreme(signs @ values, threshold, two_sided).sum())
    return count
