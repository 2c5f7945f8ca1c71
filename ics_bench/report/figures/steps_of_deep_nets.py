"""Which nets train at one constant rate, however deep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {"steps_to_target": ("", Look(Scale("steps to target", low=0.0, high=200.0), above="did not reach the target"))}
SIZE = ("width", "batch_size")
"""Convolutional nets are narrower and take smaller batches: part of what they are."""


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a net and depth, one colour a norm, one plot for each other setting."""
    frame = frame.drop(columns=[key for key in SIZE if key in frame])
    return row_picture(frame, styles, rows=("architecture", "depth"), series="norm", looks=LOOKS)


FIGURE = Figure(
    title="Who trains at this rate",
    caption=(
        "Steps until the target is reached at a constant rate. ▷ half of the seeds or more did not reach it. Large "
        "marks: medians; small dots: single seeds."
    ),
    workload="constant_rate",
    metrics=tuple(LOOKS),
    keys=("architecture", "depth", "norm"),
    draw=draw,
    order=1,
)
