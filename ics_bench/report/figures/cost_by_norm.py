"""What a norm adds to the time of a training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {"cost_ratio": ("", Look(Scale("time of a step with / without", span=0.2), mark=1.0))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a norm, one plot a net."""
    return row_picture(frame, styles, rows=("norm",), series="norm", looks=LOOKS)


FIGURE = Figure(
    title="What a norm costs",
    caption=(
        "Time of a training step over that of the same net with the identity in the norm's place, both measured in "
        "turn (dotted: no cost). The row none compares two like nets: its distance from 1 is the error to expect. "
        "Large marks: medians; small dots: single measurements."
    ),
    workload="norm_cost",
    metrics=tuple(LOOKS),
    keys=("norm",),
    draw=draw,
    order=1,
)
