"""Steps to target against depth, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.against import against_picture
from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look

if TYPE_CHECKING:
    import pandas as pd

STEPS = Look(Scale("steps to target", log=True, span=1.0), above="did not reach the target")
LOOKS = {
    "steps_to_target": ("each at its best rate", STEPS),
    "steps_at_equal_rate": ("all at one rate", STEPS),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots for each other setting."""
    return against_picture(frame, styles, series="norm", key="depth", looks=LOOKS)


FIGURE = Figure(
    title="What a norm gains, by depth",
    caption=(
        "Steps until the target is reached, with each arm's own best rate and with one rate for all; what a step costs "
        "is another figure's. Lines: medians over seeds; small dots: single seeds. △ half of the seeds or more did not "
        "reach the target."
    ),
    workload="speed_up",
    metrics=tuple(LOOKS),
    keys=("depth", "norm"),
    draw=draw,
    order=1,
)
