"""Gradient norms of transformers at initialization, by the place of the norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import trend_picture

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = Scale("blocks of the net", log=True, span=0.7)
QUANTITIES = {"gradient_exponent": ("", Scale("‖∂L/∂W‖ of the last block", log=True, span=1.0))}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a place of the norm, one plot for each other setting."""
    return trend_picture(frame, styles, series="architecture", x=BLOCKS, quantities=QUANTITIES, curve="blocks", limit=4)


FIGURE = Figure(
    title="Last block's gradient, by depth",
    caption=(
        "Norm of the gradient of the last block's last matrix before training. A level line does not depend on depth; "
        "a fall with the root of the depth is what Xiong et al. (2020) prove for norms within the branches. Lines: "
        "medians over seeds; bands: from the lowest to the highest."
    ),
    workload="transformer_gradient",
    metrics=tuple(QUANTITIES),
    keys=("architecture",),
    curve="blocks",
    draw=draw,
    order=1,
)
