"""Scores in words: a row each, a mark for each doubt, in aligned columns or as Markdown. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ics_bench.kernels.scores import Score

HEADINGS = ("provider", "time", "GB/s", "of copy", "of bus", "of roof", "rival/own", "error", "doubts")

MARKS: Mapping[str, tuple[str, str]] = {
    "L": ("latency, not bandwidth", "latency: the problem is too small for bandwidth"),
    "H": ("clocks were held down", "the GPU's clocks were held down"),
    "C": ("contended", "the machine was contended"),
    "W": ("the working set", "the working set is too small beside the cache, or may be"),
    "S": (
        "correctness was checked",
        "correctness was checked on the first samples, on parts of the results, or without adversarial inputs",
    ),
    "P": ("page faults", "the library allocates its outputs: page faults are part of the time"),
    "+": ("", "other warnings, which are in the JSON file"),
}
"""By mark: words of the warnings that it stands for, and what it means. The first that suits a warning is taken."""


def marks(warnings: Iterable[str]) -> str:
    """Shorten warnings to marks, each once, in the order of `MARKS`."""
    found = {next(mark for mark, (words, _) in MARKS.items() if words in warning) for warning in warnings}
    return "".join(mark for mark in MARKS if mark in found)


def legend(scores: Iterable[Score]) -> str:
    """Explain the marks that some scores have; empty where there are none."""
    used = "".join(marks(one.warnings) for one in scores)
    return "; ".join(f"{mark}: {meaning}" for mark, (_, meaning) in MARKS.items() if mark in used)


def table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Write scores in words, a row each under `HEADINGS`."""
    return [
        (
            one.provider,
            _time(one.time) if one.time is not None else "not timed" if one.correct else "wrong, not timed",
            f"{one.bandwidth:.4g}" if one.bandwidth is not None else "",
            _percent(one.copy_share),
            _percent(one.bus_share),
            _percent(one.roof_share),
            f"{one.rival_ratio:.2f}" if one.rival_ratio is not None else "",
            f"{one.error_over_bound:.2g}",
            marks(one.warnings),
        )
        for one in scores
    ]


def lines(rows: Iterable[tuple[str, Sequence[Score]]]) -> list[tuple[str, ...]]:
    """Write the scores of named problems under their headings, without the columns that are empty throughout."""
    found = [("problem", *HEADINGS), *((name, *row) for name, scores in rows for row in table(scores))]
    empty = {place for place, cells in enumerate(zip(*found[1:], strict=True)) if not any(cells)}
    return [tuple(cell for place, cell in enumerate(line) if place not in empty) for line in found]


def markdown(rows: Iterable[tuple[str, Sequence[Score]]]) -> str:
    """Write the scores of named problems as a Markdown table with its legend."""
    kept = [(name, list(scores)) for name, scores in rows]
    head, *body = lines(kept)
    explained = legend(one for _, scores in kept for one in scores)
    bus = "of bus: with three transfers a byte counted for that copy, as a processor's reads what it overwrites; "
    note = (
        "Time: median of one call. GB/s: fewest bytes that the problem moves over the time. Of copy: GB/s over those "
        f"of a copy of as many bytes in the same run; {bus if 'of bus' in head else ''}of roof: with the bytes that "
        "the shape must move. Rival/own: time of the fastest other over this one's. Error: largest, in units of its "
        "bound; above 1 the kernel is wrong."
    )
    ruled = (head, ("---",) * len(head), *body)
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in ruled)
    return "\n\n".join(part for part in (text, note, explained and f"Doubts: {explained}.") if part) + "\n"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _time(seconds: float) -> str:
    scale, unit = next((s, u) for s, u in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns")) if seconds >= s)
    return f"{seconds / (scale or 1e-9):.3g} {unit}"
