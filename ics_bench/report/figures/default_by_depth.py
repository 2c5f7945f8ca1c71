"""Share of configurations that one default rate trains, against depth, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.against import against_picture
from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look

if TYPE_CHECKING:
    import pandas as pd

LOOKS = {
    "trained_share": ("trained", Look(Scale("share of configurations", low=0.0, high=1.0))),
    "diverged_share": ("diverged", Look(Scale("share of configurations", low=0.0, high=1.0))),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots, trained and diverged, for each other setting."""
    return against_picture(frame, styles, series="norm", key="depth", looks=LOOKS)


FIGURE = Figure(
    title="One rate for every net",
    caption=(
        "Share of eight configurations, of width, initializer and batch size, that reach the target and that diverge "
        "at one untuned rate. Lines: medians over seeds; small dots: single seeds."
    ),
    workload="default_settings",
    metrics=tuple(LOOKS),
    keys=("depth", "norm"),
    draw=draw,
    order=1,
)
