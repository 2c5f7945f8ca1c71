"""Test accuracy and what evaluation mode changes, against batch size, by norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ics_bench.report.against import against_picture
from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, MissingDataError, Picture, Styles
from ics_bench.report.looks import Look

if TYPE_CHECKING:
    import pandas as pd

BATCH = Scale("batch size", log=True, span=0.7)
FOLLOWS = ("learning_rate",)
"""The rate grows with the batch, so that it is no setting of its own."""

LOOKS = {
    "test_accuracy": ("evaluation mode", Look(Scale("test accuracy", span=0.1, high=1.0), worst=-math.inf)),
    "train_eval_gap": (
        "training less evaluation mode",
        Look(Scale("difference of accuracies", span=0.1), above="diverged", mark=0.0),
    ),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots, accuracy and gap, for each other setting."""
    swept = frame.groupby([key for key in ("architecture", "data") if key in frame])["batch_size"].transform("nunique")
    if not (swept > 1).any():
        raise MissingDataError("it compares batch sizes, and no net was measured at more than one")
    frame = frame[swept > 1].drop(columns=[key for key in FOLLOWS if key in frame])
    return against_picture(frame, styles, series="norm", key="batch_size", looks=LOOKS, x=BATCH)


FIGURE = Figure(
    title="Accuracy by batch size",
    caption=(
        "Accuracy on held-out samples after the same number of training samples, and how much higher it is in training "
        "mode, with the statistics of the batch, than in evaluation mode (dotted: no difference). The rate grows with "
        "the batch. Lines: medians over seeds; small dots: single seeds."
    ),
    workload="norm_fit",
    metrics=tuple(LOOKS),
    keys=("norm", "batch_size"),
    draw=draw,
    order=1,
)
