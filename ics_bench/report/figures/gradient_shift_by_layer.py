"""How far a layer's gradient changes when the layers below take their step, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.trends import LAYER, trend_picture

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = {
    "gradient_shift_cosine": ("direction", Scale("cos(G, G′)", high=1.0, span=0.1)),
    "gradient_shift_relative": ("size", Scale("‖G − G′‖ / ‖G‖", low=0.0, span=0.1)),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots, direction and size, for each other setting."""
    return trend_picture(frame, styles, series="norm", x=LAYER, quantities=QUANTITIES, curve="layer", limit=4)


FIGURE = Figure(
    title="Internal shift as the gradient sees it",
    caption=(
        "G is a layer's gradient, G′ the one on the same batch after the layers below have taken their step (Santurkar "
        "et al. 2018). No shift: cosine 1, difference 0, as in the first layer, which has none below. Lines: medians "
        "over seeds and steps; bands: from the lowest to the highest seed."
    ),
    workload="internal_shift",
    metrics=tuple(QUANTITIES),
    keys=("norm",),
    curve="layer",
    draw=draw,
    order=2,
)
