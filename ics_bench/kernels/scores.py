"""From times to scores: shares of the copy and of both roofs, and the ratio to the best rival. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ics_bench.kernels.capacity import GIGA
from ics_bench.kernels.gpu_state import GpuState
from ics_bench.kernels.spec import Problem, floor_bytes, roof_bytes
from ics_bench.stats.ranks import MedianInterval, median_interval

if TYPE_CHECKING:
    from ics_bench.kernels.check import Verdict
    from ics_bench.kernels.throughput import Throughput


@dataclass(frozen=True, slots=True)
class Rates:
    """What the times of a kernel and of the copy come to.

    Parameters
    ----------
    kernel : MedianInterval
        Seconds of one call.
    bandwidth, copy_bandwidth : float
        Fewest bytes that the problem moves over the kernel's time, and the bytes of the copy over its own, in GB/s.
    copy_share, roof_share : float or None
        Bandwidth over the copy's, with the fewest bytes of all (*ideal*), and with those of the roof that applies
        to the shape (*streaming* where it reads its input twice). ``None`` where the working set fitted the cache.
    """

    kernel: MedianInterval
    bandwidth: float
    copy_bandwidth: float
    copy_share: float | None
    roof_share: float | None


def rates(problem: Problem, timed: Throughput, on_chip_bytes: int) -> Rates:
    """Compare a kernel with the copy; for ``on_chip_bytes`` see `roof_bytes`."""
    kernel, floor = median_interval(timed.kernel), floor_bytes(problem)
    bandwidth = floor / kernel.median / GIGA
    copy = timed.copy_bytes / median_interval(timed.copy).median / GIGA
    if timed.in_cache:
        return Rates(kernel, bandwidth, copy, None, None)
    share = bandwidth / copy
    return Rates(kernel, bandwidth, copy, share, share * (roof_bytes(problem, on_chip_bytes) / floor))


@dataclass(frozen=True, slots=True)
class Score:
    """One provider's kernel on one problem.

    Parameters
    ----------
    provider : str
    error_over_bound : float
        Above 1, the kernel is wrong, and there are no times.
    time, time_low, time_high : float or None
        Median of one call in seconds, and its 95 % interval.
    bandwidth : float or None
        Fewest bytes that the problem moves over the time, in GB/s.
    copy_share, roof_share : float or None
        See `Rates`.
    rival_ratio : float or None
        The fastest other provider's time over this one's: above 1, this one is faster.
    vendor_share : float or None
        Bandwidth over the datasheet's.
    warnings : tuple of str
    state : GpuState or None
        Of the GPU, where one did the work.
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
    state: GpuState | None = None

    @property
    def correct(self) -> bool:
        """Whether every element was within its bound."""
        return self.error_over_bound <= 1.0

    def as_json(self) -> dict[str, Any]:
        """Return strict JSON values: an infinite error is the word ``inf``."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        return found if math.isfinite(self.error_over_bound) else {**found, "error_over_bound": "inf"}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Score:
        """Read what `as_json` wrote."""
        state = values.get("state")
        return Score(
            **{
                **values,
                "error_over_bound": float(values["error_over_bound"]),
                "warnings": tuple(values["warnings"]),
                "state": None if state is None else GpuState(**state),
            }
        )


def score(
    problem: Problem,
    timed: Mapping[str, Throughput],
    verdicts: Mapping[str, Verdict],
    on_chip_bytes: int,
    vendor_bandwidth: float | None = None,
) -> list[Score]:
    """Score the providers of one problem, those without times last: they are wrong, or could not be timed.

    Parameters
    ----------
    problem : Problem
    timed : mapping of str to Throughput
        By provider, of one interleaved run.
    verdicts : mapping of str to Verdict
        Of every provider.
    on_chip_bytes : int
        See `roof_bytes`.
    vendor_bandwidth : float, optional
        Bytes per second by the datasheet.
    """
    reached = {name: rates(problem, one, on_chip_bytes) for name, one in timed.items()}
    found = []
    for name, mine in reached.items():
        kernel = mine.kernel
        others = [other.kernel.median for rival, other in reached.items() if rival != name]
        found.append(
            Score(
                name,
                verdicts[name].error_over_bound,
                kernel.median,
                kernel.interval.low,
                kernel.interval.high,
                mine.bandwidth,
                mine.copy_share,
                mine.roof_share,
                min(others) / kernel.median if others else None,
                mine.bandwidth * GIGA / vendor_bandwidth if vendor_bandwidth else None,
                (*verdicts[name].warnings(), *timed[name].warnings),
                timed[name].state,
            )
        )
    rest = [name for name in verdicts if name not in timed]
    return found + [Score(name, verdicts[name].error_over_bound, warnings=verdicts[name].warnings()) for name in rest]
