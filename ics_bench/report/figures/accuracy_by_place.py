"""Accuracy and speed of one net with its norms at different places."""

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
    "test_accuracy": ("accuracy", Look(Scale("test accuracy", high=1.0, span=0.1), below="diverged", worst=-math.inf)),
    "steps_to_target": ("speed", Look(Scale("steps to target", low=0.0), above="did not reach the target")),
}
SIZE = ("width", "batch_size")
"""Convolutional nets are narrower and take smaller batches: part of what they are."""


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a net, depth and norm, one colour a place; two plots, accuracy and speed, for each other setting."""
    frame = frame.drop(columns=[key for key in SIZE if key in frame])
    rows = ("architecture", "depth", "norm")
    return row_picture(frame, styles, rows=rows, series="norm_position", looks=LOOKS, limit=2)


FIGURE = Figure(
    title="The norm before or after the activation",
    caption=(
        "Accuracy on the test set after 200 steps, and steps until the target is reached. Nets named post have their "
        "norms behind the residual addition. Large marks: medians; small dots: single seeds."
    ),
    workload="placement",
    metrics=tuple(LOOKS),
    keys=("norm_position", "architecture", "depth", "norm"),
    draw=draw,
    order=1,
)
