"""Damage by a covariate shift, by remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {"error_ratio": ("", Look(Scale("error in use / error at home", log=True, span=1.0), mark=1.0))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a shift, one colour a remedy, one plot a model."""
    return row_picture(frame, styles, rows=("shift",), series="remedy", looks=LOOKS, limit=4)


FIGURE = Figure(
    title="What a shift of the inputs costs",
    caption=(
        "Mean squared error where the model is used, over that where it was fitted; at 1 (dotted line) the shift costs "
        "nothing. A model of the true form does not suffer; a wrong one does, as far as the remedy cannot help it. "
        "Large marks: medians; small dots: single seeds."
    ),
    workload="covariate_shift",
    metrics=tuple(LOOKS),
    keys=("shift", "remedy"),
    draw=draw,
    order=1,
)
