"""From times to a table: shares of the copy and of both roofs, and the ratio to the best rival. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ics_bench.kernels.spec import Problem, floor_bytes, roof_bytes
from ics_bench.stats.ranks import median_interval

if TYPE_CHECKING:
    from ics_bench.kernels.check import Verdict
    from ics_bench.kernels.throughput import Throughput

GIGA = 1e9


@dataclass(frozen=True, slots=True)
class Score:
    """One provider's kernel on one problem.

    Parameters
    ----------
    provider : str
    error_over_bound : float
        Above 1, the kernel is wrong, and there is nothing else.
    time, time_low, time_high : float or None
        Median of one call in seconds, and its 95 % interval.
    bandwidth : float or None
        Fewest bytes that the problem moves over the time, in GB/s.
    copy_share, roof_share : float or None
        Bandwidth over the copy's in the same run, with the fewest bytes of all (*ideal*), and with those of
        the roof that applies to the shape (*streaming* where it reads its input twice). ``None`` where the
        working set fitted the cache.
    rival_ratio : float or None
        The fastest other provider's time over this one's: above 1, this one is faster.
    vendor_share : float or None
        Bandwidth over the datasheet's.
    warnings : tuple of str
    """

    provider: str
    error_over_bound: float
    time: float | None = None
    time_low: float | None = None
    time_high: float | None = None
    bandwidth: float | None = None
    copy_share: float | None = None
    roof_share: float | None = None
    rival_ratio: float | None = None
    vendor_share: float | None = None
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return strict JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def score(
    problem: Problem,
    timed: Mapping[str, Throughput],
    verdicts: Mapping[str, Verdict],
    on_chip_bytes: int,
    vendor_bandwidth: float | None = None,
) -> list[Score]:
    """Score the providers of one problem, those that are wrong last.

    Parameters
    ----------
    problem : Problem
    timed : mapping of str to Throughput
        By provider, of one interleaved run; without those that are wrong.
    verdicts : mapping of str to Verdict
        Of every provider.
    on_chip_bytes : int
        See `roof_bytes`.
    vendor_bandwidth : float, optional
        Bytes per second by the datasheet.
    """
    medians = {name: median_interval(one.kernel) for name, one in timed.items()}
    floor = floor_bytes(problem)
    roof = roof_bytes(problem, on_chip_bytes) / floor
    found = []
    for name, one in timed.items():
        kernel = medians[name]
        bandwidth = floor / kernel.median / GIGA
        copy = one.copy_bytes / median_interval(one.copy).median / GIGA
        share = None if one.in_cache else bandwidth / copy
        others = [other.median for rival, other in medians.items() if rival != name]
        found.append(
            Score(
                name,
                verdicts[name].error_over_bound,
                kernel.median,
                kernel.interval.low,
                kernel.interval.high,
                bandwidth,
                share,
                None if share is None else share * roof,
                min(others) / kernel.median if others else None,
                bandwidth * GIGA / vendor_bandwidth if vendor_bandwidth else None,
                (*verdicts[name].warnings(), *one.warnings),
            )
        )
    wrong = [name for name in verdicts if name not in timed]
    return found + [Score(name, verdicts[name].error_over_bound, warnings=verdicts[name].warnings()) for name in wrong]


HEADINGS = ("provider", "time", "GB/s", "of copy", "of roof", "rival/own", "error")


def table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Write scores in words, a row each under `HEADINGS`."""
    return [
        (
            one.provider,
            _time(one.time) if one.time is not None else "wrong, not timed",
            f"{one.bandwidth:.4g}" if one.bandwidth is not None else "",
            _percent(one.copy_share),
            _percent(one.roof_share),
            f"{one.rival_ratio:.2f}" if one.rival_ratio is not None else "",
            f"{one.error_over_bound:.2g}",
        )
        for one in scores
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _time(seconds: float) -> str:
    scale, unit = next((s, u) for s, u in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns")) if seconds >= s)
    return f"{seconds / (scale or 1e-9):.3g} {unit}"
