"""How values of many seeds are read: where each belongs on an axis, and what stands for all of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ics_bench.report import text
from ics_bench.report.axes import Scale, Span, span_of


@dataclass(frozen=True, slots=True)
class Look:
    """An axis of values, and what lies beyond it.

    Parameters
    ----------
    scale : Scale
    above, below : str
        What a value beyond that end means, as in ``2 of 11 seeds did not reach the target``.
    worst : float
        What stands for NaN: infinity of the sign that is bad.
    mark : float, optional
        Value at which a line stands.
    """

    scale: Scale
    above: str = "are not finite"
    below: str = "are zero or below"
    worst: float = math.inf
    mark: float | None = None

    def place(self, value: float) -> float:
        """Return a value that the axis can hold, or the infinity at whose end it belongs."""
        if math.isnan(value):
            return self.worst
        return value if self.scale.fits(value) or math.isinf(value) else -math.inf

    def marked(self) -> Scale:
        """Return the axis, long enough to show the mark."""
        if self.mark is None:
            return self.scale
        ends = [end for end in (self.scale.low, self.scale.high) if end is not None]
        return dataclasses.replace(self.scale, low=min([self.mark, *ends]), high=max([self.mark, *ends]))

    def span(self, values: Sequence[float]) -> Span:
        """Find the ends of the axis, with room for what lies beyond."""
        placed = [self.place(value) for value in values]
        return span_of(placed, self.marked(), math.inf in placed, -math.inf in placed)

    def notes(self, name: str, placed: Sequence[float]) -> Iterator[str]:
        """Say how many seeds lie beyond the axis, and what that means."""
        for end, meaning in ((math.inf, self.above), (-math.inf, self.below)):
            beyond = sum(value == end for value in placed)
            if beyond:
                yield f"{text.shorten(name)}: {beyond} of {len(placed)} seeds {meaning}."


def median_of(placed: Sequence[float]) -> float:
    """Take the median of placed values; half of them beyond an end puts it there.

    Examples
    --------
    >>> median_of([1.0, 4.0]), median_of([1.0, 4.0, math.inf, math.inf])
    (2.5, inf)
    """
    ordered = sorted(placed)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if math.isinf(low) or math.isinf(high):
        return high if math.isinf(high) else low
    return (low + high) / 2
