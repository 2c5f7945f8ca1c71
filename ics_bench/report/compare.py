"""Parts of a run that hold a comparison, each with a title that says no more than what tells it apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ics_bench.core.text import count
from ics_bench.report import text
from ics_bench.report.figure import Entry, Panel, Picture, Styles
from ics_bench.report.select import varying

if TYPE_CHECKING:
    import pandas as pd

TELLING = ("experiment", "data", "architecture", "activation", "inputs")
"""Case keys that say most about a setting: named first where several change together."""

USUAL = 0.6
"""Share of the settings from which on a value goes without saying."""


def comparisons(
    frame: pd.DataFrame, series: str, free: Sequence[str] = (), limit: int = 6
) -> tuple[list[tuple[str, pd.DataFrame]], str]:
    """Split a frame by all case keys that vary, apart from those that a plot spreads out.

    Parameters
    ----------
    frame : DataFrame
    series : str
        Case key whose values are compared. Settings with one value of it are passed over where others have more.
    free : sequence of str
        Other case keys that a plot spreads out.
    limit : int
        Most parts to return.

    Returns
    -------
    list of (str, DataFrame)
        Parts, each with its title; empty where there is but one.
    str
        How many settings were left out, for the reader; empty if none.
    """
    keys = varying(frame, (series, *free))
    if not keys:
        return [("", frame)], ""
    groups = list(frame.groupby(keys, sort=False, dropna=False))
    compared = [group for group in groups if group[1][series].nunique() > 1]
    shown = (compared or groups)[:limit]
    rest = len(groups) - len(shown)
    names = titles(keys, [[text.scalar(value) for value in values] for values, _ in shown])
    left = f"{count(rest, 'more setting')} left to the table." if rest else ""
    return [(name, part) for name, (_, part) in zip(names, shown, strict=True)], left


def titles(keys: Sequence[str], settings: Sequence[Sequence[str]]) -> list[str]:
    """Name settings by what tells them apart.

    Of keys that change together one is named, and a value that most settings share is not.

    Parameters
    ----------
    keys : sequence of str
    settings : sequence of sequence of str
        Values of the keys in each setting.

    Examples
    --------
    >>> titles(["depth", "data"], [["5", "digits"], ["10", "digits"], ["25", "teacher"]])
    ['depth 5', 'depth 10', 'depth 25, data teacher']
    """
    columns = dict(zip(keys, zip(*settings, strict=True), strict=True))
    patterns: dict[tuple[int, ...], str] = {}
    for key in sorted(keys, key=lambda key: TELLING.index(key) if key in TELLING else len(TELLING)):
        patterns.setdefault(tuple(columns[key].index(value) for value in columns[key]), key)
    told = [key for key in keys if key in patterns.values() and len(set(columns[key])) > 1]
    usual = {key: _usual(columns[key]) for key in told}

    def name(place: int) -> str:
        values = {key: columns[key][place] for key in told}
        unusual = {key: value for key, value in values.items() if value != usual[key]}
        return ", ".join(f"{text.words(key)} {value}" for key, value in (unusual or values).items())

    return [name(place) for place in range(len(settings))]


def _usual(values: Sequence[str]) -> str | None:
    value, occurrences = Counter(values).most_common(1)[0]
    return value if len(values) > 2 and occurrences >= USUAL * len(values) else None


def legend_of(frame: pd.DataFrame, series: str, styles: Styles) -> list[Entry]:
    """List the values that are compared; a single one needs no legend."""
    values = frame[series].dropna().unique()
    return [Entry(text.scalar(value), styles.style(series, value)) for value in values] if len(values) > 1 else []


def picture(panels: list[Panel], legend: list[Entry], notes: Sequence[str], paired: bool = False) -> Picture:
    """Put a picture together from what its parts have to say."""
    return Picture(panels, legend, [note for note in dict.fromkeys(notes) if note], paired)


def headed(heading: str, notes: Sequence[str]) -> Iterator[str]:
    """Say which panel each note is about."""
    return (f"{heading}: {note}" if heading else note for note in notes)


def joined(*parts: str) -> str:
    """Join what there is of a heading."""
    return ", ".join(part for part in parts if part)
