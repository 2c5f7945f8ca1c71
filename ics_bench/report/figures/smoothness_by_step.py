"""Variation of loss and gradient along the steps of training, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import STEP, trend_picture

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = {
    "loss_range": ("range of the loss", Scale("largest − smallest loss", log=True, span=1.0)),
    "gradient_difference": ("change of the gradient", Scale("largest ‖g′ − g‖₂", log=True, span=1.0)),
    "lr_beta": ("step times smoothness", Scale("learning rate × β", log=True, span=1.0)),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; three plots for each other setting."""
    return trend_picture(frame, styles, series="norm", x=STEP, quantities=QUANTITIES, curve="step", limit=3)


FIGURE = Figure(
    title="How smooth the loss is along the way",
    caption=(
        "At each step, loss and gradient g at points along the negative gradient, over six octaves of step sizes "
        "around the learning rate (after Santurkar et al. 2018, figure 4). Lower is smoother. Learning rate × β does "
        "not depend on the scale of the weights, which a norm makes arbitrary. Lines: medians over seeds; bands: from "
        "the lowest to the highest."
    ),
    workload="landscape",
    metrics=tuple(QUANTITIES),
    keys=("norm",),
    curve="step",
    draw=draw,
    order=1,
)
