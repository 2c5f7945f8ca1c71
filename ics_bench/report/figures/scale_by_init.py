"""Size of the signal in each layer, by initializer."""

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
    moment = Scale("second moment E[a²]", log=True, span=2.0)
    return layer_picture(frame, styles, series="init", panels=("activation",), prefer=SETTING, y=moment)


FIGURE = Figure(
    title="Signal through the layers, by initializer",
    caption=(
        "Second moment of the activations after each layer, without normalization. "
        "A level line keeps its signal; a straight slope loses or gains the same factor in every layer."
    ),
    workload="init_scale",
    metrics=("activation_second_moment",),
    keys=("init",),
    curve="layer",
    draw=draw,
    order=1,
)
