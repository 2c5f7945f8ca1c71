"""What a figure is: the measurements that it needs, and the pictures that it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ics_bench.core.registry import Registry
from ics_bench.report import text

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

FIGURES = Registry("figure", "ics_bench.report.figures", "FIGURE")

COLOURS = 8
"""Series colours that the style sheet defines as ``--series-0`` … for light and for dark pages."""

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "pentagon", "star", "hexagram")
"""Second code beside the colour; triangles are kept for values outside an axis."""

BASELINE = "none"
"""The subject without the treatment is drawn in grey everywhere."""


class MissingDataError(Exception):
    """The measurements do not suffice for a figure; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Style:
    """Look of one series: colour by name of a style-sheet variable, marker and dash."""

    colour: str
    symbol: str
    dash: str = "solid"


def swatch(style: Style) -> Style:
    """Return the look of a legend entry where the colour alone tells the series apart."""
    return Style(style.colour, "swatch")


@dataclass(frozen=True)
class Styles:
    """One look for each value of each case key, the same in every figure of a page.

    Parameters
    ----------
    values : mapping of case key to values
        All the values that occur on the page, in the order in which they get their looks.
    """

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, frames: Iterable[pd.DataFrame]) -> Styles:
        """Collect the values of every case key over the frames of a page."""
        found: dict[str, dict[str, None]] = {}
        for frame in frames:
            for key in frame.columns[frame.columns.get_loc("case") + 1 : frame.columns.get_loc("seed")]:
                found.setdefault(str(key), {}).update(
                    dict.fromkeys(text.scalar(v) for v in frame[key].dropna().unique())
                )
        return cls({key: tuple(values) for key, values in found.items()})

    def style(self, key: str, value: object) -> Style:
        """Return the look of a value; past the last colour they repeat with another dash."""
        name = text.scalar(value)
        if name == BASELINE:
            return Style("var(--baseline)", "circle-open")
        others = [known for known in self.values.get(key, ()) if known != BASELINE]
        place = others.index(name) if name in others else len(others)
        dash = ("solid", "dash", "dot", "dashdot")[place // COLOURS % 4]
        return Style(f"var(--series-{place % COLOURS})", SYMBOLS[place % len(SYMBOLS)], dash)


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot with its small heading; panels of a picture share their legend."""

    title: str
    plot: go.Figure


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend. Traces whose ``legendgroup`` equals ``label`` are shown and hidden by it."""

    label: str
    style: Style


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels, their legend, and what a reader must know about them.

    Parameters
    ----------
    panels : list of Panel
    legend : list of Entry
    notes : list of str
        What the plots cannot show: values outside an axis, cases left to the table.
    paired : bool
        Whether the plots come in twos that belong side by side.
    """

    panels: list[Panel]
    legend: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    paired: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure of one workload: what it needs, and how it is drawn.

    Parameters
    ----------
    title : str
    caption : str
        What is plotted and how to read it.
    workload : str
        The workload whose measurements it draws.
    metrics : tuple of str
        All of them must be present in a run.
    keys : tuple of str
        Case keys that must be present.
    draw : callable
        ``draw(frame, styles) -> Picture`` on the rows of these metrics; raises `MissingDataError`.
    curve : str
        Label of the curve that each metric must carry, if any.
    order : int
        Place within the workload's section.
    """

    title: str
    caption: str
    workload: str
    metrics: tuple[str, ...]
    keys: tuple[str, ...]
    draw: Callable[[pd.DataFrame, Styles], Picture]
    curve: str = ""
    order: int = 0

    def select(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that the figure needs.

        Parameters
        ----------
        frame : DataFrame
            Measurements of the figure's workload in one run.

        Raises
        ------
        MissingDataError
            Naming the metric, curve or case key that the run lacks.
        """
        for key in self.keys:
            if key not in frame.columns or frame[key].isna().all():
                raise MissingDataError(f"the run has no case key {key!r}")
        rows = frame[frame["metric"].isin(self.metrics)]
        if self.curve:
            rows = rows[rows["curve_label"] == self.curve]
        for metric in self.metrics:
            if metric not in set(rows["metric"]):
                what = f"curve over {text.words(self.curve)} for {metric!r}" if self.curve else f"value of {metric!r}"
                raise MissingDataError(f"the run has no {what}")
        return rows


def figures_of(workload: str) -> list[Figure]:
    """List the figures of a workload, in the order of the page."""
    every = [FIGURES.load(name) for name in FIGURES.builtin()]
    ours = [figure for figure in every if isinstance(figure, Figure) and figure.workload == workload]
    return sorted(ours, key=lambda figure: figure.order)
