"""Size of the gradient in each layer, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.layers import layer_picture

if TYPE_CHECKING:
    import pandas as pd

SETTING = {"init": "he", "dtype": "float64", "draws": "generator", "batch_size": 128, "width": 256}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm, one plot an activation."""
    size = Scale("gradient norm ‖∂/∂z‖", log=True, span=2.0)
    return layer_picture(frame, styles, series="norm", panels=("activation",), prefer=SETTING, y=size)


FIGURE = Figure(
    title="Gradient through the layers, by norm",
    caption=(
        "The same gradient norm with a norm before each activation. Compare with the signal above: a level signal "
        "does not imply a level gradient."
    ),
    workload="init_scale",
    metrics=("gradient_norm",),
    keys=("norm",),
    curve="layer",
    draw=draw,
    order=4,
)
