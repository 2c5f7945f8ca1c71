"""Axes: their ends, their ticks, and the room for what lies beyond them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ics_bench.report import text

SPARE = 0.06
"""Share of its span that an axis leaves free at each end."""

BAND = 0.1
"""Share of its span added at an end where markers stand for values beyond it."""

DECADE_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200)
"""Distances in decades between the ticks of a log axis; the last covers all of float64's range."""

MOST_TICKS = 7
FINE = 2.3
"""Span in decades below which a log axis is labelled 1, 2, 5, 10, …"""

SMALLEST, LARGEST = -307.0, 308.0
"""Decades between which a float is normal."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: its title with the unit, and whether it is logarithmic.

    Parameters
    ----------
    title : str
    log : bool
    span : float
        Shortest span that the axis shows, in decades on a log axis: noise must not fill the plot.
    low, high : float, optional
        Ends of the axis where they have a meaning of their own.
    """

    title: str
    log: bool = False
    span: float = 0.0
    low: float | None = None
    high: float | None = None

    def fits(self, value: float) -> bool:
        """Whether the axis can hold a value at all."""
        return math.isfinite(value) and (value > 0 or not self.log)


@dataclass(frozen=True, slots=True)
class Span:
    """Ends of an axis, as decades on a log axis, and where the markers for values beyond them stand."""

    low: float
    high: float
    below: float
    above: float


def span_of(values: Iterable[float], scale: Scale, above: bool = False, below: bool = False) -> Span:
    """Find the ends of an axis around ``values``.

    Parameters
    ----------
    values : iterable of float
        Those that do not fit the axis are passed over.
    scale : Scale
    above, below : bool
        Whether room is needed for values beyond that end.
    """

    def place(value: float) -> float:
        return math.log10(value) if scale.log else value

    found = [place(value) for value in values if scale.fits(value)]
    ends = [place(end) for end in (scale.low, scale.high) if end is not None]
    low, high = min([*found, *ends], default=0.0), max([*found, *ends], default=1.0)
    missing = max(scale.span, 1e-9 + 1e-6 * abs(high)) - (high - low)
    if missing > 0:
        low, high = low - missing / 2, high + missing / 2
    length = high - low
    low -= length * (SPARE + BAND * below)
    high += length * (SPARE + BAND * above)
    middle = length * BAND / 2
    return Span(low, high, low + middle, high - middle)


def value_at(place: float, scale: Scale) -> float:
    """Return the value that stands at a place of the axis."""
    return float(10 ** min(max(place, SMALLEST), LARGEST)) if scale.log else place


def layout(x: Scale, y: Scale, x_span: Span | None, y_span: Span) -> dict[str, Any]:
    """Axes with titles; everything about colour is left to the page's theme."""
    return {
        "xaxis": {"title": {"text": x.title}, **_axis(x, x_span)},
        "yaxis": {"title": {"text": y.title}, **_axis(y, y_span)},
        "showlegend": False,
        "hovermode": "closest",
        "margin": {"l": 56, "r": 14, "t": 10, "b": 46},
    }


def _axis(scale: Scale, span: Span | None) -> dict[str, Any]:
    axis: dict[str, Any] = {"automargin": True, "zeroline": False}
    if span is not None:
        axis["range"] = [span.low, span.high]
    if not scale.log:
        return axis
    axis |= {"type": "log", "exponentformat": "power"}
    if span is None:
        return axis
    length = span.high - span.low
    if length < FINE:
        return axis | labelled(_round_numbers(span))
    axis["tickfont"] = {"size": 10.5}  # plotly draws powers larger than other labels
    return axis | {"dtick": next(step for step in DECADE_STEPS if step * MOST_TICKS >= length)}


def labelled(values: Sequence[float]) -> dict[str, Any]:
    """Ticks at these values alone."""
    return {"tickvals": list(values), "ticktext": [text.number(value) for value in values]}


def _round_numbers(span: Span) -> list[float]:
    decades = range(math.floor(span.low), math.ceil(span.high) + 1)
    every = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    return [value for value in every if value > 0 and span.low <= math.log10(value) <= span.high]
