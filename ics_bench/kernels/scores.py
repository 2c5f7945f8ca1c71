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


COPY_TRANSFERS, ALLOCATING_COPY_TRANSFERS = 2, 3
"""Bytes that a copy moves for each byte copied: read and write; or also a read before the write."""


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
    bus_bandwidth, bus_share : float or None
        The copy's with its bytes counted three times, and bandwidth over that: the ceiling of non-temporal stores, if
        a processor's copy reads what it overwrites. ``None`` on a GPU, which does not.
    """

    kernel: MedianInterval
    bandwidth: float
    copy_bandwidth: float
    copy_share: float | None
    roof_share: float | None
    bus_bandwidth: float | None
    bus_share: float | None


def rates(problem: Problem, timed: Throughput, on_chip_bytes: int) -> Rates:
    """Compare a kernel with the copy; for ``on_chip_bytes`` see `roof_bytes`."""
    kernel, floor = median_interval(timed.kernel), floor_bytes(problem)
    bandwidth = floor / kernel.median / GIGA
    copy = timed.copy_bytes / median_interval(timed.copy).median / GIGA
    bus = copy * ALLOCATING_COPY_TRANSFERS / COPY_TRANSFERS if timed.state is None else None
    if timed.in_cache:
        return Rates(kernel, bandwidth, copy, None, None, bus, None)
    share, roof = bandwidth / copy, roof_bytes(problem, on_chip_bytes) / floor
    return Rates(kernel, bandwidth, copy, share, share * roof, bus, None if bus is None else bandwidth / bus)


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
    bandwidth, copy_bandwidth : float or None
        Fewest bytes that the problem moves over the time, and the copy's bytes over its own, in GB/s.
    copy_share, roof_share, bus_share : float or None
        See `Rates`.
    rival_ratio : float or None
        The fastest other provider's time over this one's: above 1, this one is faster.
    vendor_share : float or None
        Bandwidth over the datasheet's.
    working_set : int or None
        Bytes of the buffers that took turns; see `ics_bench.kernels.throughput.Throughput`.
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
    copy_bandwidth: float | None = None
    copy_share: float | None = None
    roof_share: float | None = None
    bus_share: float | None = None
    rival_ratio: float | None = None
    vendor_share: float | None = None
    working_set: int | None = None
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
                mine.copy_bandwidth,
                mine.copy_share,
                mine.roof_share,
                mine.bus_share,
                min(others) / kernel.median if others else None,
                mine.bandwidth * GIGA / vendor_bandwidth if vendor_bandwidth else None,
                timed[name].working_set,
                (*verdicts[name].warnings(), *timed[name].warnings),
                timed[name].state,
            )
        )
    rest = [name for name in verdicts if name not in timed]
    return found + [Score(name, verdicts[name].error_over_bound, warnings=verdicts[name].warnings()) for name in rest]
