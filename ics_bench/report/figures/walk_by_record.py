"""Change of a layer's output while its weights are perturbed again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import trend_picture

if TYPE_CHECKING:
    import pandas as pd

RECORD = Scale("record")
QUANTITIES = {
    "mean_change": ("mean", Scale("mean, over that of the first record", span=0.1)),
    "std_change": ("standard deviation", Scale("standard deviation, over the first", span=0.1)),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a size of perturbation; two plots, mean and standard deviation, for each other setting."""
    relative = frame.assign(curve_y=[_over_first(values) for values in frame["curve_y"]])
    return trend_picture(
        relative, styles, series="perturbation", x=RECORD, quantities=QUANTITIES, curve="record", limit=2, mark=1.0
    )


def _over_first(values: Sequence[float]) -> list[float]:
    """Divide by the first value; where that is 0 nothing is relative to it."""
    return [value / values[0] if values[0] else math.nan for value in values]


FIGURE = Figure(
    title="One layer under random updates",
    caption=(
        "Mean and standard deviation of a ReLU layer's outputs over those of the first record, with a random change of "
        "all weights between records; one line a standard deviation of that change. Lines: medians over seeds; bands: "
        "from the lowest to the highest."
    ),
    workload="moment_propagation",
    metrics=tuple(QUANTITIES),
    keys=("perturbation",),
    curve="record",
    draw=draw,
    order=1,
)
