"""Share of initializers that train at each learning rate, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import trend_picture

if TYPE_CHECKING:
    import pandas as pd

RATE = Scale("learning rate", log=True)
QUANTITIES = {"trainable_decades": ("", Scale("share of initializers", low=0.0, high=1.0))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm, one plot for each other setting."""
    return trend_picture(frame, styles, series="norm", x=RATE, quantities=QUANTITIES, curve="learning_rate", limit=6)


FIGURE = Figure(
    title="The region of rates and initializers that train",
    caption=(
        "Share of initializers, from far too small to far too large, with which a net reaches the target at each rate. "
        "The area under a line is the region's size in decades. Lines: medians over seeds; bands: from the lowest to "
        "the highest."
    ),
    workload="rate_region",
    metrics=tuple(QUANTITIES),
    keys=("norm",),
    curve="learning_rate",
    draw=draw,
    order=1,
)
