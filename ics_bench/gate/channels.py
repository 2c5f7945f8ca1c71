"""From pairs of epochs to log-ratios: the quantities that are tested, each with its margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ics_bench.core.text import count
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import SIDES, Benchmark, Pair

WALL, PROCESSOR = "wall time", "processor time"


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of a benchmark over its pairs.

    Parameters
    ----------
    quantity : str
        Its name in the results.
    base, head : array, shape (n,)
        Positive and finite.
    sign : float
        1 where more is worse, -1 where less is.
    """

    quantity: str
    base: NDArray[np.float64]
    head: NDArray[np.float64]
    sign: float = 1.0

    @property
    def worsening(self) -> NDArray[np.float64]:
        """Log-ratios, positive for the worse."""
        ratios: NDArray[np.float64] = self.sign * np.log(self.head / self.base)
        return ratios


def faults(benchmark: Benchmark, pairs: Sequence[Pair]) -> str:
    """Say why pairs of a time or of a memory cannot be used; empty where they can.

    What failed while the sides took turns and not alone is no fault where it met both of them: then one was in the
    other's way. Where it met one side alone it is that side's, however seldom it comes.
    """
    for side in SIDES:
        errors = [getattr(pair, side).error for pair in pairs]
        found = [error for error in errors if error]
        if found:
            other = [getattr(pair, "base" if side == "head" else "head").error for pair in pairs]
            where = "both sides" if any(other) else side
            return f"failed on {where} in {len(found)} of {count(len(pairs), 'epoch')}: {found[0]}"
    passing = {side: [error for pair in pairs if (error := getattr(pair, side).failed_in_turns)] for side in SIDES}
    if bool(passing["base"]) != bool(passing["head"]):
        (side,) = (side for side in SIDES if passing[side])
        return (
            f"failed on {side} alone in {len(passing[side])} of {count(len(pairs), 'epoch')}, and not when measured "
            f"again: {passing[side][0]}"
        )
    for side in SIDES:
        values = [getattr(pair, side).value for pair in pairs]
        wrong = [value for value in values if not (math.isfinite(value) and value > 0)]
        if wrong:
            return (
                f"{side} gave {wrong[0]:g} {benchmark.unit} in {len(wrong)} of {count(len(pairs), 'epoch')}, "
                "and a ratio needs positive, finite numbers"
            )
    return ""


def channels(benchmark: Benchmark, pairs: Sequence[Pair]) -> tuple[Channel, ...]:
    """Take the quantities out of pairs in which `faults` finds nothing: wall and processor time, or the value."""
    sign = -1.0 if benchmark.better == "higher" else 1.0
    values = [(pair.base.value, pair.head.value) for pair in pairs]
    if benchmark.kind != "timing":
        return (_channel("memory" if benchmark.kind == "memory" else "value", values, sign),)
    cpu = [(pair.base.cpu_seconds, pair.head.cpu_seconds) for pair in pairs]
    if all(base is None and head is None for base, head in cpu):
        return (_channel(WALL if benchmark.unit == "s" else "value", values, sign),)
    wall = _channel(WALL, values, sign)
    known = [(base, head) for base, head in cpu if base is not None and head is not None]
    if len(known) < len(cpu) or not all(0 < time < math.inf for times in known for time in times):
        return (wall,)
    return (wall, _channel(PROCESSOR, known, sign))


def _channel(quantity: str, values: Sequence[tuple[float, float]], sign: float) -> Channel:
    sides = np.array(values, dtype=np.float64).reshape(-1, 2)
    return Channel(quantity, sides[:, 0], sides[:, 1], sign)


@dataclass(frozen=True, slots=True)
class Margins:
    """What a channel is held against, as logarithms of ratios.

    Parameters
    ----------
    screen : float
        Growth that the screen tests for.
    change : float
        Growth that is a regression.
    bound : float
        Growth that must be excluded before no change is said.
    by_signs : bool
        Whether the median is held against them, by a sign test; else the centre, by signed ranks.
    """

    screen: float
    change: float
    bound: float
    by_signs: bool = False


def margins(benchmark: Benchmark, base: NDArray[np.float64], rule: Rule) -> Margins:
    """Margins of a channel, given the base's values in the screen.

    Memory is nearly the same in every epoch, so any growth at all would be flagged; it is screened for one that
    matters. What little it varies is in jumps, of an allocator or a late garbage collection, so that its log-ratios
    are not symmetric about their centre, as signed ranks suppose: memory is judged by its median.
    """
    if benchmark.kind == "memory":
        change, bound = map(math.log1p, rule.memory_limits(float(np.median(base))))
        return Margins(change, change, bound, by_signs=True)
    return Margins(0.0, math.log1p(rule.margin), math.log1p(rule.bound))
