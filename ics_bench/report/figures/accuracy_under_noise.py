"""Drift put in on purpose, and what it does to accuracy and speed."""

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
    "drift_wasserstein": ("drift", Look(Scale("W₁/σ between two steps", log=True, span=1.0), above="diverged")),
    "accuracy": ("accuracy", Look(Scale("training accuracy", high=1.0, span=0.1), below="diverged", worst=-math.inf)),
    "steps_to_target": ("speed", Look(Scale("steps to target", low=0.0), above="did not reach the target")),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a norm; three plots, drift, accuracy and speed, for each other setting."""
    return row_picture(frame, styles, rows=("norm",), series="norm", looks=LOOKS, limit=3)


FIGURE = Figure(
    title="More shift on purpose",
    caption=(
        "Nets whose units are shifted and scaled at random, anew at every step, with and without batch norm before. If "
        "shift were what slows training, more drift would mean more steps and less accuracy. Large marks: medians; "
        "small dots: single seeds."
    ),
    workload="noisy_norm",
    metrics=tuple(LOOKS),
    keys=("norm",),
    draw=draw,
    order=1,
)
