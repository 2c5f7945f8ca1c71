"""Gradient norm of each block of the deepest transformer at initialization, by the place of the norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import trend_picture

if TYPE_CHECKING:
    import pandas as pd

BLOCK = Scale("block")
QUANTITIES = {"gradient_spread": ("", Scale("‖∂L/∂W‖", log=True, span=1.0))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a place of the norm, one plot for each other setting."""
    return trend_picture(frame, styles, series="architecture", x=BLOCK, quantities=QUANTITIES, curve="block", limit=4)


FIGURE = Figure(
    title="Gradient through the blocks",
    caption=(
        "The same gradient in every block of the deepest net. The backward pass starts on the right: a line that falls "
        "to the left is a gradient that vanishes. Lines: medians over seeds; bands: from the lowest to the highest."
    ),
    workload="transformer_gradient",
    metrics=tuple(QUANTITIES),
    keys=("architecture",),
    curve="block",
    draw=draw,
    order=2,
)
