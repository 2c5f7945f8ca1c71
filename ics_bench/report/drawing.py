"""Draws the figures of a workload; what cannot be drawn is said in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ics_bench.report.figure import Entry, Figure, MissingDataError, Picture, Styles, figures_of
from ics_bench.report.plotting import encode
from ics_bench.results.run import Run


@dataclass(frozen=True, slots=True)
class PlotView:
    """One plot: its place in the page, its heading, and its data as strict JSON values."""

    anchor: str
    title: str
    data: dict[str, Any]

    @property
    def height(self) -> int | None:
        """Height in pixels, where the plot asks for one of its own."""
        height = self.data["layout"].get("height")
        return None if height is None else int(height)


@dataclass(frozen=True, slots=True)
class FigureView:
    """One figure with its plots, its legend and its notes."""

    anchor: str
    title: str
    caption: str
    plots: tuple[PlotView, ...]
    legend: tuple[Entry, ...]
    notes: tuple[str, ...]
    paired: bool


def draw_figures(
    run: Run, workload: str, anchor: str, styles: Styles
) -> tuple[tuple[FigureView, ...], tuple[str, ...]]:
    """Draw every figure of a workload.

    Returns
    -------
    tuple of FigureView
    tuple of str
        One sentence for each figure that was left out.
    """
    frame = run.frame()
    frame = frame[frame["workload"] == workload]
    if frame.empty:
        return (), ()
    drawn: list[FigureView] = []
    left_out: list[str] = []
    for figure in figures_of(workload):
        try:
            picture = figure.draw(figure.select(frame), styles)
        except MissingDataError as reason:
            left_out.append(f"{figure.title}: {reason}.")
        except Exception as error:  # one figure that stumbles over odd data must not cost the reader the page
            left_out.append(f"{figure.title}: drawing failed with {type(error).__name__}: {error}")
        else:
            drawn.append(_view(figure, picture, f"{anchor}-figure-{len(drawn) + 1}"))
    return tuple(drawn), tuple(left_out)


def _view(figure: Figure, picture: Picture, anchor: str) -> FigureView:
    plots = tuple(
        PlotView(f"{anchor}-plot-{place}", panel.title, encode(panel.plot))
        for place, panel in enumerate(picture.panels, 1)
    )
    return FigureView(
        anchor, figure.title, figure.caption, plots, tuple(picture.legend), tuple(picture.notes), picture.paired
    )
