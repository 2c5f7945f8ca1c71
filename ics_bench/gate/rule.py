"""The numbers of the decision rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ics_bench.core import UsageError


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as a change, and how surely it must be known.

    Parameters
    ----------
    margin : float
        δ: times that grew by no more than this share are no regression; the null hypothesis is a ratio ≤ 1+δ.
    bound : float
        No change is said only where the upper bound on the growth lies below this share; of memory also where it lies
        below twice ``memory_floor``.
    family_error : float
        Probability of any false regression among all benchmarks together.
    bound_error : float
        Probability of calling a benchmark that grew by ``bound`` unchanged.
    screen_pairs : int
        Pairs with which all benchmarks are screened.
    screen_level : float
        One-sided level of the screen, which tests for any growth at all.
    looks : tuple of int
        Numbers of fresh pairs after which what was flagged is judged. The last is where measuring ends, even with
        budget left: the two errors are then spent, and another look would have none to decide by.
    confirm_power, bound_power : float
        How the two errors are spent over the looks (`ics_bench.stats.spending_shares`): the first late, since a
        large effect shows early anyway; the second early, since most benchmarks are bounded by the screen.
    memory_margin : float
        As ``margin``, for the median of memory.
    memory_floor : float
        Bytes; a growth of no more than this is no regression either.
    least_seeds : int
        Convergence metrics that differ on fewer seeds are not judged.
    """

    margin: float = 0.03
    bound: float = 0.10
    family_error: float = 0.01
    bound_error: float = 0.05
    screen_pairs: int = 16
    screen_level: float = 0.10
    looks: tuple[int, ...] = (16, 32, 48, 64, 96)
    confirm_power: float = 2.0
    bound_power: float = 0.5
    memory_margin: float = 0.05
    memory_floor: float = 1 << 20
    least_seeds: int = 16

    def __post_init__(self) -> None:
        for name in ("margin", "memory_margin", "memory_floor"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "a finite number from 0 up")
        for name in ("family_error", "bound_error", "screen_level"):
            self._check(name, 0 < getattr(self, name) < 1, "a number between 0 and 1")
        for name in ("confirm_power", "bound_power"):
            self._check(name, 0 < getattr(self, name) < math.inf, "a positive, finite number")
        above = max(self.margin, self.memory_margin)
        self._check("bound", above < self.bound < math.inf, f"a finite number above the margins, here {above:g}")
        for name in ("screen_pairs", "least_seeds"):
            self._check(name, _whole(getattr(self, name)), "a whole number from 1 up")
        self._check("looks", _growing(self.looks), "whole numbers that grow from 1 up")

    @property
    def most_pairs(self) -> int:
        """Pairs that a benchmark gets at most."""
        return self.screen_pairs + self.looks[-1]

    def memory_limits(self, base: float) -> tuple[float, float]:
        """Shares by which memory must grow to be a regression, and that no change must exclude.

        Parameters
        ----------
        base : float
            Bytes on base: where these are few, ``memory_floor`` is the larger share.
        """
        floor = self.memory_floor / base
        return max(self.memory_margin, floor), max(self.bound, 2 * floor)

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise UsageError(f"{name}={getattr(self, name)!r}: expected {expected}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _growing(looks: Sequence[int]) -> bool:
    pairs = pairwise(looks)
    return bool(looks) and all(map(_whole, looks)) and all(before < after for before, after in pairs)
