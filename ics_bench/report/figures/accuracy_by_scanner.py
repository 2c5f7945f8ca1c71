"""Accuracy on another scanner's images, by remedy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {
    "accuracy": ("", Look(Scale("accuracy at the other site", low=0.0, high=1.0), below="diverged", worst=-math.inf))
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a scanner, one colour a remedy."""
    return row_picture(frame, styles, rows=("shift",), series="remedy", looks=LOOKS)


FIGURE = Figure(
    title="The other hospital's scanner",
    caption=(
        "Accuracy of a perceptron on images with another gain and offset than those it was trained on; none is the "
        "first site. Large marks: medians; small dots: single seeds."
    ),
    workload="covariate_shift",
    metrics=tuple(LOOKS),
    keys=("shift", "remedy"),
    draw=draw,
    order=2,
)
