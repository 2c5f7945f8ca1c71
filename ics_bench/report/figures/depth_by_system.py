"""Deepest net that each era's system trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {
    "feasible_depth": (
        "",
        Look(Scale("deepest net that trains (weight matrices)", log=True), below="train at no depth"),
    )
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a system."""
    deepest = frame.groupby("system")["depth"].transform("max")
    frame = frame[frame["depth"] == deepest].drop(columns="depth")
    return row_picture(frame, styles, rows=("system",), series="system", looks=LOOKS)


FIGURE = Figure(
    title="How deep each system trains",
    caption=(
        "Deepest net of a system's ladder of depths that reaches the target, each depth at its best rate. A mark at "
        "the top of its ladder says at least. Large marks: medians; small dots: single seeds."
    ),
    workload="eras",
    metrics=tuple(LOOKS),
    keys=("system", "depth"),
    draw=draw,
    order=1,
)
