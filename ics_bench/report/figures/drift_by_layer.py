"""How far each layer's pre-activations move in a step, by norm."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.compare import comparisons, headed, picture
from ics_bench.report.figure import Entry, Figure, Panel, Picture, Styles
from ics_bench.report.plotting import Series, line_plot
from ics_bench.report.select import median_strand, series_of
from ics_bench.report.trends import LAYER

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = 6
DRIFT = Scale("W₁/σ between two steps", log=True, span=1.0)


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """Two lines a norm, the move by a step and sampling noise; one plot for each other setting."""
    parts, left = comparisons(frame, "norm", limit=SETTINGS)
    panels, notes, entries = [], [left], {}
    for title, part in parts:
        lines = []
        for norm, rows in series_of(part, "norm"):
            label, style = text.scalar(norm), styles.style("norm", norm)
            noise = dataclasses.replace(style, dash="dot", symbol="circle-open")
            for metric, name, look in (
                ("drift_wasserstein", label, style),
                ("sampling_drift", f"{label}: sampling noise", noise),
            ):
                entries[name] = Entry(name, look)
                curves = median_strand(rows[rows["metric"] == metric])
                lines.append(Series(name, look, curves, faint=look is noise))
        plot, beyond = line_plot(lines, LAYER, DRIFT)
        panels.append(Panel(title, plot))
        notes += headed(title, beyond)
    return picture(panels, list(entries.values()), notes)


FIGURE = Figure(
    title="How far layers move in one step",
    caption=(
        "Distance (W₁ over σ) between a layer's pre-activations before and after one training step, on a fixed batch. "
        "Dotted: the distance between two disjoint batches at the same step, where nothing has moved. Medians over "
        "seeds and steps. Do the deepest layers move most, and does a norm hold them still?"
    ),
    workload="internal_shift",
    metrics=("drift_wasserstein", "sampling_drift"),
    keys=("norm",),
    curve="layer",
    draw=draw,
    order=1,
)
