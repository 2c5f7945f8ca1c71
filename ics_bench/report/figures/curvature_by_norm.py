"""Outliers of the Hessian and the curvature between layers, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Figure, Picture, Styles
from ics_bench.report.looks import Look
from ics_bench.report.rows import row_picture

if TYPE_CHECKING:
    import pandas as pd


def _look(title: str) -> Look:
    return Look(Scale(title, log=True, span=1.0), above="diverged or have none")


LOOKS = {
    "late_lambda_1": ("after 100 steps", _look("largest eigenvalue λ₁")),
    "late_lambda_ratio": ("after 100 steps", _look("λ₁ / λ₁₀")),
    "matched_lr_lambda_1": ("at loss 1", _look("learning rate × λ₁")),
    "matched_hessian_coupling": ("at loss 1", Look(Scale("share of H between layers", low=0.0, high=1.0))),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row a depth, one colour a norm, one plot a quantity and other setting."""
    return row_picture(frame, styles, rows=("depth",), series="norm", looks=LOOKS, limit=2)


FIGURE = Figure(
    title="Curvature: outliers, and between layers",
    caption=(
        "Largest eigenvalue of the Hessian of the loss, how far it stands out from the tenth, and the share of the "
        "squared Frobenius norm that lies between different weight matrices. Large marks: medians; small dots: "
        "single seeds."
    ),
    workload="curvature",
    metrics=tuple(LOOKS),
    keys=("norm", "depth"),
    draw=draw,
    order=1,
)
