"""Steps to target of the upper half of a net, by what the lower half does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {"steps_to_target": ("", Look(Scale("steps to target", low=0.0), above="did not reach the target"))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a lower half, one colour a norm, one plot for each other setting."""
    return row_picture(frame, styles, rows=("lower", "pretraining"), series="norm", looks=LOOKS)


FIGURE = Figure(
    title="Learning on ground that moves",
    caption=(
        "Steps until the target is reached by the upper layers, from their initial weights, on lower layers that train "
        "along or stand still, from their initial weights or after pretraining. If moving inputs hold learning up, "
        "frozen must beat moving at the same pretraining. Large marks: medians; small dots: single seeds."
    ),
    workload="frozen_half",
    metrics=tuple(LOOKS),
    keys=("lower", "pretraining", "norm"),
    draw=draw,
    order=1,
)
