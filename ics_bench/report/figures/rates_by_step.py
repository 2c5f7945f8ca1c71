"""Factor per layer of signal and gradient while a net trains, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import STEP, trend_picture

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = {
    "forward_rate": ("signal", Scale("factor per layer of E[z²]", log=True, span=1.0)),
    "backward_rate": ("gradient", Scale("factor per layer of ‖∂L/∂z‖²", log=True, span=1.0)),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots, signal and gradient, for each other setting."""
    return trend_picture(frame, styles, series="norm", x=STEP, quantities=QUANTITIES, curve="step", limit=4, mark=1.0)


FIGURE = Figure(
    title="How long initialization lasts",
    caption=(
        "Factor by which the signal grows from layer to layer, and the gradient on its way back, after 0 to 200 steps. "
        "At 1 (dotted line) neither vanishes nor explodes. Lines: medians over seeds; bands: from the lowest to the "
        "highest."
    ),
    workload="saturation",
    metrics=tuple(QUANTITIES),
    keys=("norm",),
    curve="step",
    draw=draw,
    order=3,
)
