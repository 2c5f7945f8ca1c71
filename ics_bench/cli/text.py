"""Plain text for the terminal: tables that can be piped, and names that cannot take the terminal over."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ics_bench.core.text import printable as printable

MISSING = "-"
HEADER_WIDTH = 9
"""Columns of short values are not widened by a long title; it goes over several lines instead."""


def cell(value: object) -> str:
    """Text of one value: four significant digits, ``-`` where there is none."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return printable(str(value))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out rows under their titles; numbers to the right, text to the left.

    A title is broken at its underscores and spaces where its values are narrow.
    """
    texts = [[cell(value) for value in row] for row in rows]
    heads, widths, numeric = [], [], []
    for place, title in enumerate(columns):
        widest = max((len(row[place]) for row in texts), default=0)
        lines = _break(printable(title), max(widest, HEADER_WIDTH))
        heads.append(lines)
        widths.append(max(widest, *map(len, lines)))
        values = [row[place] for row in rows if row[place] is not None]
        numeric.append(all(isinstance(v, int | float) and not isinstance(v, bool) for v in values))
    height = max(map(len, heads), default=0)
    grid = [[lines[i - height] if i >= height - len(lines) else "" for lines in heads] for i in range(height)]
    grid += [["-" * width for width in widths], *texts]
    aligned = (
        (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        for row in grid
    )
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def _break(title: str, width: int) -> list[str]:
    lines = [""]
    for piece in re.findall(r"[^_ ]+[_ ]?|[_ ]", title):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]
