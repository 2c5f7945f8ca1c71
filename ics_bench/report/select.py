"""From a tidy frame to the few curves that a plot can carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ics_bench.core.text import count
from ics_bench.report import text

if TYPE_CHECKING:
    import pandas as pd

Strand = tuple[list[float], list[float]]
"""Positions and values of one line, of equal length."""


def case_keys(frame: pd.DataFrame) -> list[str]:
    """Names of the columns that hold case keys."""
    names = [str(name) for name in frame.columns]
    return names[names.index("case") + 1 : names.index("seed")]


def varying(frame: pd.DataFrame, free: Sequence[str] = ()) -> list[str]:
    """Case keys with more than one value, those in ``free`` left out."""
    return [key for key in case_keys(frame) if key not in free and frame[key].nunique() > 1]


def hold(
    frame: pd.DataFrame, free: Sequence[str], prefer: Mapping[str, object] | None = None
) -> tuple[pd.DataFrame, str]:
    """Keep one value of every case key that a plot does not spread out.

    Parameters
    ----------
    frame : DataFrame
    free : sequence of str
        Keys that stay as they are.
    prefer : mapping of case key to value, optional
        Value to keep where it occurs; elsewhere the most frequent one is kept, the first among equals.

    Returns
    -------
    DataFrame
        The rows kept.
    str
        What was held fixed, for the reader; empty if nothing had to be.
    """
    held = []
    for key in varying(frame, free):
        values = frame[key].dropna()
        counts = values.value_counts(sort=False)
        wanted = (prefer or {}).get(key)
        value = wanted if wanted in set(values) else counts.idxmax()
        frame = frame[frame[key] == value]
        held.append(f"{text.words(key)} {text.scalar(value)}")
    return frame, f"Shown for {', '.join(held)}; the table has the other cases." if held else ""


def facets(frame: pd.DataFrame, keys: Sequence[str], limit: int) -> tuple[list[tuple[str, pd.DataFrame]], str]:
    """Split a frame into one part for each combination of values of ``keys`` that varies.

    Returns
    -------
    list of (str, DataFrame)
        At most ``limit`` parts, each with a title such as ``depth 20, init he``.
    str
        How many parts were left out, for the reader; empty if none.
    """
    spread = [key for key in keys if key in frame.columns and frame[key].nunique() > 1]
    if not spread:
        return [("", frame)], ""
    groups = list(frame.groupby(spread, sort=False, dropna=False))
    parts = [
        (", ".join(f"{text.words(key)} {text.scalar(v)}" for key, v in zip(spread, values, strict=True)), part)
        for values, part in groups[:limit]
    ]
    rest = len(groups) - len(parts)
    return parts, f"{count(rest, 'more combination')} left to the table." if rest > 0 else ""


def series_of(frame: pd.DataFrame, key: str) -> Iterator[tuple[object, pd.DataFrame]]:
    """Split a frame by the values of one case key, in the order in which they occur."""
    for value in frame[key].dropna().unique():
        yield value, frame[frame[key] == value]


def strands(rows: pd.DataFrame) -> list[Strand]:
    """Curves of the rows, one line each."""
    return [(list(x), list(y)) for x, y in zip(rows["curve_x"], rows["curve_y"], strict=True) if x is not None]


def median_strand(rows: pd.DataFrame) -> list[Strand]:
    """Median over rows (seeds) at each position; the lines themselves where their positions differ."""
    lines = strands(rows)
    if len(lines) < 2 or any(x != lines[0][0] for x, _ in lines):
        return lines
    with np.errstate(invalid="ignore"):
        return [(lines[0][0], np.median([y for _, y in lines], axis=0).tolist())]
