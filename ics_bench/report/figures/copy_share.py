"""Share of a copy's bandwidth that each kernel reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ics_bench.report import text
from ics_bench.report.figure import Entry, Figure, Panel, Picture, Styles, swatch
from ics_bench.report.plotting import identity
from ics_bench.report.select import facets, hold, series_of

if TYPE_CHECKING:
    import pandas as pd

PANELS = 8
ROW, FRAME = 26, 90
"""Height of one bar and of the axis with its title, in pixels."""

RIVALS = "provider"
PROBLEM = ("norm", "mode", "layout", "shape")
SHARE = "share of the copy"
LEAST, SPARE = 1.15, 1.08
"""Least end of the axis, so that it shows the copy itself, and room beyond the longest bar."""


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One bar a provider, one row a problem, one plot for each direction and dtype."""
    has_share = frame["case"].isin(frame.loc[frame["metric"] == "copy_share", "case"])
    unscored = frame.loc[~has_share, "case"].nunique()
    frame, held = hold(frame[has_share], (RIVALS, *PROBLEM, "direction", "dtype"))
    parts, left = facets(frame, ("direction", "dtype"), PANELS)
    spread = [key for key in PROBLEM if key == "norm" or (key in frame and frame[key].nunique() > 1)]
    panels = [Panel(title, _plot(part, spread, styles)) for title, part in parts]
    legend = [
        Entry(text.scalar(provider), swatch(styles.style(RIVALS, provider))) for provider in frame[RIVALS].unique()
    ]
    without = f"without a share, as their warnings say why: {unscored} case{'s' * (unscored > 1)}" if unscored else ""
    return Picture(panels, legend, [note for note in (held, left, without) if note])


def _plot(frame: pd.DataFrame, spread: list[str], styles: Styles) -> go.Figure:
    problems = frame[spread].drop_duplicates().apply(tuple, axis=1).tolist()
    medians = frame.groupby([*spread, RIVALS, "metric"], sort=False)["value"].median()
    plot = go.Figure()
    rivals = list(frame[RIVALS].unique())
    for provider, rows in series_of(frame, RIVALS):
        known = set(rows[spread].apply(tuple, axis=1))
        places = [place for place, problem in enumerate(problems) if problem in known]
        found = [(place, *_share(medians, problems[place], provider)) for place in places]
        traits = identity(text.scalar(provider), "problem", SHARE)
        plot.add_bar(
            orientation="h",
            y=[place for place, *_ in found],
            x=[share for _, share, _, _ in found],
            error_x={
                "array": [more for *_, more in found],
                "arrayminus": [less for _, _, less, _ in found],
                "thickness": 1.2,
                "width": 3,
                "color": "var(--quiet)",
            },
            marker={"color": styles.style(RIVALS, provider).colour},
            **traits | {"hovertemplate": "%{fullData.name}<br>%{x:.3f} of the copy<extra></extra>"},
        )
    longest = float(medians.xs("copy_share", level="metric").max())
    plot.add_vline(x=1, line={"color": "var(--ink)", "width": 1, "dash": "dot"})
    plot.update_layout(
        height=FRAME + ROW * len(problems) * len(rivals),
        barmode="group",
        bargap=0.25,
        xaxis={"title": {"text": SHARE}, "range": [0, SPARE * max(LEAST, longest)], "zeroline": False},
        yaxis={
            "tickvals": list(range(len(problems))),
            "ticktext": [" ".join(map(str, problem)) for problem in problems],
            "range": [len(problems) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
        },
        margin={"l": 56, "r": 14, "t": 10, "b": 46},
        hovermode="closest",
    )
    return plot


def _share(medians: pd.Series, problem: tuple[object, ...], provider: object) -> tuple[float, float, float]:
    """Share of the copy's bandwidth, and how far its interval reaches below and above."""
    share, time, low, high = (
        float(medians[(*problem, provider, metric)]) for metric in ("copy_share", "time", "time_low", "time_high")
    )
    return share, share - share * time / high, share * time / low - share


FIGURE = Figure(
    title="Kernels against a copy",
    caption=(
        "Fewest bytes that the problem moves, over the kernel's median time, as a share of a plain copy's bandwidth "
        "(dotted line). Whiskers: 95 % interval of the kernel's own median; they may pass the end of the axis."
    ),
    workload="kernel_throughput",
    metrics=("copy_share", "time", "time_low", "time_high"),
    keys=("norm", "direction", "shape", "provider", "mode", "dtype"),
    draw=draw,
)
