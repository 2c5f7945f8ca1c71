"""The layer at which each dtype gives out, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ics_bench.report.figure import Entry, Figure, MissingDataError, Panel, Picture, Styles, swatch
from ics_bench.report.plotting import identity
from ics_bench.report.select import facets, hold, series_of

if TYPE_CHECKING:
    import pandas as pd

SETTING = {"norm": "none", "draws": "generator", "batch_size": 128, "width": 256, "depth": 50}
SIGNAL, GRADIENT = ("underflow_layer", "overflow_layer"), ("gradient_underflow_layer", "gradient_overflow_layer")
UNDER, OVER, NEITHER = "triangle-down", "triangle-up", "circle"
BAND = 0.6
"""Share of a row's height over which its dtypes are spread."""


NEVER = 1.16
"""Where "never" stands on the layer axis, as a multiple of the depth."""

ROW, FRAME = 46, 90
"""Height of one initializer's row and of the axis with its title, in pixels."""


@dataclass(frozen=True, slots=True)
class _Point:
    """Where one dtype gives out for one initializer: the layer, or infinity, and how."""

    row: float
    layer: float
    symbol: str


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One row an initializer, one colour a dtype, one plot for each direction and activation."""
    frame, held = hold(frame, ("init", "activation", "dtype"), SETTING)
    arms = frame.groupby(["init", "activation"])["dtype"].nunique()
    compared = {arm for arm, dtypes in arms.items() if dtypes > 1}
    if not compared:
        raise MissingDataError("it compares dtypes, and no case was measured in more than one")
    frame = frame[[arm in compared for arm in zip(frame["init"], frame["activation"], strict=True)]]
    parts, left = facets(frame, ("activation",), 4)
    dtypes = list(frame["dtype"].unique())
    panels = []
    for title, part in parts:
        for direction, metrics in (("signal", SIGNAL), ("gradient", GRADIENT)):
            heading = f"{direction}, {title}" if title else direction
            panels.append(Panel(heading, _plot(part[part["metric"].isin(metrics)], dtypes, direction, styles)))
    legend = [Entry(dtype, swatch(styles.style("dtype", dtype))) for dtype in dtypes]
    return Picture(panels, legend, [note for note in (held, left) if note])


def _plot(frame: pd.DataFrame, dtypes: list[str], direction: str, styles: Styles) -> go.Figure:
    inits = list(frame["init"].unique())
    points = {
        dtype: list(_points(frame[frame["dtype"] == dtype], inits, place, len(dtypes)))
        for place, dtype in enumerate(dtypes)
    }
    depth = int(frame["depth"].max()) if "depth" in frame else 1
    never = depth * NEVER
    plot = go.Figure()
    for dtype, found in points.items():
        style = styles.style("dtype", dtype)
        hover = "%{fullData.name}<br>layer %{x}<extra></extra>"
        plot.add_scatter(
            x=[point.layer if math.isfinite(point.layer) else never for point in found],
            y=[point.row for point in found],
            mode="markers",
            marker={"color": style.colour, "symbol": [point.symbol for point in found], "size": 10},
            **identity(dtype, "layer", "") | {"hovertemplate": hover},
        )
    step = max(1, round(depth / 5))
    places = list(range(step, depth + 1, step))
    origin = "layer" if direction == "signal" else "layers back from the output"
    plot.update_layout(
        height=FRAME + ROW * len(inits),
        xaxis={
            "title": {"text": origin},
            "range": [0, depth * (NEVER + 0.1)],
            "tickvals": [*places, never],
            "ticktext": [*map(str, places), "never"],
            "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(len(inits))),
            "ticktext": list(inits),
            "range": [len(inits) - 0.5, -0.5],
            "automargin": True,
            "zeroline": False,
        },
        margin={"l": 56, "r": 14, "t": 10, "b": 46},
        hovermode="closest",
    )
    return plot


def _points(rows: pd.DataFrame, inits: list[str], place: int, places: int) -> Iterator[_Point]:
    """Median layer over seeds of whatever comes first, underflow or overflow."""
    offset = BAND * ((place + 0.5) / places - 0.5)
    for init, part in series_of(rows, "init"):
        medians = part.groupby("metric")["value"].median()
        under = float(medians[[m for m in medians.index if "underflow" in m]].min())
        over = float(medians[[m for m in medians.index if "overflow" in m]].min())
        first = min(under, over)
        symbol = NEITHER if math.isinf(first) else (UNDER if under <= over else OVER)
        yield _Point(inits.index(str(init)) + offset, first, symbol)


FIGURE = Figure(
    title="Where a dtype gives out",
    caption=(
        "First layer at which the signal, or on the way back the gradient, is smaller than the dtype's normal numbers "
        "(▼) or infinite (▲); ● under “never” stayed in range through all layers. Medians over seeds."
    ),
    workload="init_scale",
    metrics=(*SIGNAL, *GRADIENT),
    keys=("init", "dtype", "activation"),
    draw=draw,
    order=5,
)
