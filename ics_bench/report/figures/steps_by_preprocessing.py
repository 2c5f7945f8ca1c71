"""Condition number of the inputs and the steps of gradient descent that it costs, by preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {
    "condition_number": ("inputs", Look(Scale("condition number", log=True, span=1.0), above="are singular")),
    "gd_steps": ("descent", Look(Scale("steps of gradient descent", log=True, span=1.0))),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a preprocessing, one colour a data set; two plots, condition number and steps."""
    return row_picture(frame, styles, rows=("preprocessing",), series="data", looks=LOOKS)


FIGURE = Figure(
    title="Inputs put in order",
    caption=(
        "Condition number of the inputs' second moments, and steps of gradient descent to within 1 % of the least "
        "loss. Each preprocessing includes those above it. Large marks: medians; small dots: single seeds."
    ),
    workload="conditioning",
    metrics=tuple(LOOKS),
    keys=("preprocessing", "data"),
    draw=draw,
    order=1,
)
