"""Test accuracy by norm, one plot a net."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {"test_accuracy": ("", Look(Scale("test accuracy", span=0.1, high=1.0), worst=-math.inf))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a norm, one plot for each other setting."""
    return row_picture(frame, styles, rows=("norm",), series="norm", looks=LOOKS, limit=6)


FIGURE = Figure(
    title="Which norm suits which net",
    caption="Accuracy on held-out samples, in evaluation mode. Large marks: medians; small dots: single seeds.",
    workload="norm_fit",
    metrics=tuple(LOOKS),
    keys=("norm",),
    draw=draw,
    order=2,
)
