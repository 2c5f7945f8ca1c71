"""Size of the gradient in each layer, by initializer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.layers import layer_picture

if TYPE_CHECKING:
    import pandas as pd

SETTING = {"norm": "none", "dtype": "float64", "draws": "generator", "batch_size": 128, "width": 256}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line an initializer, one plot an activation."""
    size = Scale("gradient norm ‖∂/∂z‖", log=True, span=2.0)
    return layer_picture(frame, styles, series="init", panels=("activation",), prefer=SETTING, y=size)


FIGURE = Figure(
    title="Gradient through the layers, by initializer",
    caption=(
        "Norm of the gradient with respect to each layer's pre-activations, without normalization. The backward pass "
        "starts at the last layer, on the right: a line that rises to the left is a gradient that explodes."
    ),
    workload="init_scale",
    metrics=("gradient_norm",),
    keys=("init",),
    curve="layer",
    draw=draw,
    order=3,
)
