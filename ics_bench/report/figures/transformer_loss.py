"""Training loss of transformers, by the place of the norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.lines import line_picture
from ics_bench.report.trends import STEP

if TYPE_CHECKING:
    import pandas as pd

LOSS = Scale("training loss (nat)", log=True, span=1.0)


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a seed in the colour of its architecture, one plot for each other setting."""
    return line_picture(frame, styles, series="architecture", x=STEP, y=LOSS, limit=6)


FIGURE = Figure(
    title="Who learns to copy",
    caption=(
        "Cross-entropy on the training batch, one line a seed. A line at 2.8, the logarithm of the 16 symbols, has "
        "learned nothing. A line may end early: where the target was reached, or where the loss diverged."
    ),
    workload="transformer_depth",
    metrics=("steps_to_target",),
    keys=("architecture",),
    curve="step",
    draw=draw,
    order=1,
)
