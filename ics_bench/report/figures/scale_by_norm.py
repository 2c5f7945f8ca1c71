"""Size of the signal in each layer, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.layers import layer_picture

if TYPE_CHECKING:
    import pandas as pd

SETTING = {"activation": "relu", "dtype": "float64", "draws": "generator", "batch_size": 128, "width": 256}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm, one plot an initializer."""
    moment = Scale("second moment E[a²]", log=True, span=2.0)
    return layer_picture(frame, styles, series="norm", panels=("init",), prefer=SETTING, y=moment)


FIGURE = Figure(
    title="Signal through the layers, by norm",
    caption=(
        "The same second moment with a norm before each activation, one plot an initializer. A norm that pins the "
        "scale of its output makes the lines of all initializers alike."
    ),
    workload="init_scale",
    metrics=("activation_second_moment",),
    keys=("norm",),
    curve="layer",
    draw=draw,
    order=2,
)
