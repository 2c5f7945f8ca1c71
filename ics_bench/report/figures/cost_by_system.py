"""Steps and work that each era's system takes to the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

MISSED = "did not reach the target"
LOOKS = {
    "steps_to_target": ("steps", Look(Scale("steps to target", log=True, span=0.7), above=MISSED)),
    "flops_to_target": ("work", Look(Scale("FLOP to target", log=True, span=0.7), above=MISSED)),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a system and depth; two plots, steps and work, for each other setting."""
    import pandas as pd

    each = frame[frame["metric"] == "flops_per_step"].groupby("case")["value"].first()
    steps = frame[frame["metric"] == "steps_to_target"]
    work = steps.assign(metric="flops_to_target", value=steps["value"] * steps["case"].map(each))
    both = pd.concat([steps, work], ignore_index=True)
    return row_picture(both, styles, rows=("system", "depth"), series="system", looks=LOOKS, limit=2)


FIGURE = Figure(
    title="What each system's training takes",
    caption=(
        "Steps until the target is reached at each system's best rate, and the same in operations of its matrix "
        "products. ▷ half of the seeds or more did not reach it. Large marks: medians; small dots: single seeds."
    ),
    workload="eras",
    metrics=("steps_to_target", "flops_per_step"),
    keys=("system", "depth"),
    draw=draw,
    order=2,
)
