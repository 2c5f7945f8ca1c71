"""Growth of the share of dead units while a net trains, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import STEP, trend_picture

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = {"dead_growth": ("", Scale("dead share, less that at the start", span=0.1))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm, one plot for each other setting."""
    return trend_picture(frame, styles, series="norm", x=STEP, quantities=QUANTITIES, curve="step", limit=6, mark=0.0)


FIGURE = Figure(
    title="Do ReLU units die?",
    caption=(
        "Share of hidden units that are zero on every training sample, less that before the first step (dotted line). "
        "Lines: medians over seeds; bands: from the lowest to the highest."
    ),
    workload="saturation",
    metrics=tuple(QUANTITIES),
    keys=("norm",),
    curve="step",
    draw=draw,
    order=2,
)
