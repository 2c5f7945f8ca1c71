"""Plots with honest axes: what does not fit is drawn at the edge and said in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Integral, Real
from typing import Any

import plotly.graph_objects as go

from ics_bench.report import text
from ics_bench.report.axes import Scale, layout, span_of, value_at
from ics_bench.report.figure import Style
from ics_bench.report.select import Strand

NAME_LENGTH = 40
SIGNIFICANT = 6
"""Digits kept in a plot's data: more than any pixel shows."""

CROWD = 30
"""Points of a series beyond which only some of them get a marker."""


@dataclass(frozen=True, slots=True)
class Series:
    """Lines of one look under one name."""

    label: str
    style: Style
    lines: list[Strand] = field(default_factory=list)
    faint: bool = False


@dataclass(frozen=True, slots=True)
class _Beyond:
    """A stretch of a line that the axis cannot hold: first and last position, which edge, until the end or not."""

    first: float
    last: float
    above: bool
    ends: bool


def line_plot(series: Sequence[Series], x: Scale, y: Scale) -> tuple[go.Figure, list[str]]:
    """Draw lines; values that the y axis cannot hold become triangles at its edge and a note each.

    Returns
    -------
    Figure
    list of str
        Notes such as ``normal-1: not finite from layer 36 on``.
    """
    beyond = [[_stretches(line, y) for line in s.lines] for s in series]
    sides = {b.above for lines in beyond for stretches in lines for b in stretches}
    y_span = span_of((v for s in series for _, ys in s.lines for v in ys), y, True in sides, False in sides)
    x_span = span_of((v for s in series for xs, _ in s.lines for v in xs), x) if x.log else None
    plot = go.Figure(layout=layout(x, y, x_span, y_span))
    for s, lines in zip(series, beyond, strict=True):
        xs, ys = _joined(s.lines, y)
        plot.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            line={"color": s.style.colour, "dash": s.style.dash, "width": 1.2 if s.faint else 2},
            marker=_marker(s, len(xs)),
            opacity=0.7 if s.faint else 1,
            **identity(s.label, x.title, y.title),
        )
        for above, symbol, place in ((True, "triangle-up", y_span.above), (False, "triangle-down", y_span.below)):
            firsts = [b.first for stretches in lines for b in stretches if b.above is above]
            if firsts:
                plot.add_scatter(
                    x=firsts,
                    y=[value_at(place, y)] * len(firsts),
                    **edge_markers(s.label, s.style, symbol, _word(above)),
                )
    return plot, [note for s, lines in zip(series, beyond, strict=True) for note in _notes(s.label, lines, x.title)]


def _marker(series: Series, points: int) -> dict[str, Any]:
    few = points <= CROWD
    size = 5 if series.faint else 7
    marker = {"color": series.style.colour, "symbol": series.style.symbol, "size": size}
    return marker if few else {**marker, "maxdisplayed": 9}


def identity(label: str, x_title: str, y_title: str) -> dict[str, Any]:
    """Name, legend group and hover text of a trace; the name enters the hover text by reference alone."""
    hover = f"%{{fullData.name}}<br>{markup(x_title)}: %{{x}}<br>{markup(y_title)}: %{{y:.4~g}}<extra></extra>"
    return {"name": label, "legendgroup": label, "hovertemplate": hover, "showlegend": False}


def edge_markers(label: str, style: Style, symbol: str, meaning: str, at: str = "%{x}") -> dict[str, Any]:
    """Look of the markers that stand at the edge for values beyond it; ``at`` is the position for the hover text."""
    return {
        "mode": "markers",
        "marker": {"color": style.colour, "symbol": f"{symbol}-open", "size": 11, "line": {"width": 2}},
        "cliponaxis": False,
        "name": label,
        "legendgroup": label,
        "hovertemplate": f"%{{fullData.name}}<br>{markup(meaning)}<br>{at}<extra></extra>",
        "showlegend": False,
    }


def _stretches(line: Strand, scale: Scale) -> list[_Beyond]:
    found: list[_Beyond] = []
    previous: bool | None = None
    for position, value in zip(*line, strict=True):
        above = None if scale.fits(value) else not value <= 0  # NaN counts as above: it follows an overflow
        if above is not None and above == previous:
            found[-1] = _Beyond(found[-1].first, position, above, False)
        elif above is not None:
            found.append(_Beyond(position, position, above, False))
        previous = above
    if found and line[0] and found[-1].last == line[0][-1]:
        found[-1] = _Beyond(found[-1].first, found[-1].last, found[-1].above, True)
    return found


def _joined(lines: Iterable[Strand], scale: Scale) -> tuple[list[float | None], list[float | None]]:
    """Concatenate lines with gaps between them and where a value does not fit."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for x, y in lines:
        if xs:
            xs.append(None)
            ys.append(None)
        xs += x
        ys += [value if scale.fits(value) else None for value in y]
    return xs, ys


def _word(above: bool) -> str:
    return "not finite" if above else "zero or below"


def _notes(label: str, lines: list[list[_Beyond]], axis: str) -> list[str]:
    short = text.shorten(label, NAME_LENGTH)
    if len(lines) > 1:
        hit = sum(1 for stretches in lines if stretches)
        return [f"{short}: {hit} of {len(lines)} lines leave the axis."] if hit else []
    notes = []
    for b in lines[0] if lines else []:
        where = f"from {axis} {b.first:g} on" if b.ends else f"at {axis} {b.first:g}"
        if not b.ends and b.last != b.first:
            where += f" to {b.last:g}"
        notes.append(f"{short}: {_word(b.above)} {where}.")
    return notes


def markup(plain: str) -> str:
    """Escape text for the markup that plotly draws, placeholders of its hover texts included."""
    return escape(text.visible(plain), quote=False).replace("%{", "%&#123;")


def encode(node: Any, key: str = "") -> Any:
    """Turn a plot into strict JSON values; every text is escaped, so that no name acts as markup.

    Hover templates are written here (`identity`, `edge_markers`), escaped already, and kept.
    """
    if isinstance(node, go.Figure):
        return encode(node.to_plotly_json())
    if isinstance(node, dict):
        return {str(name): encode(value, str(name)) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [encode(item, key) for item in node]
    if isinstance(node, str):
        if key == "legendgroup":
            return text.visible(node)  # compared with the legend's own name, never drawn
        return node if key == "hovertemplate" else markup(_short(node, key))
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, Integral):
        return int(node)
    if isinstance(node, Real):
        return float(f"{float(node):.{SIGNIFICANT}g}") if math.isfinite(node) else None
    raise TypeError(f"a plot holds {type(node).__name__} under {key!r}; use lists and plain numbers")


def _short(plain: str, key: str) -> str:
    return text.shorten(plain, NAME_LENGTH) if key in ("name", "ticktext") else plain
