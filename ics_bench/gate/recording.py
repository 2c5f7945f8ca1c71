"""Recorded noise: pairs of epochs of one and the same build, kept for `ics_bench.gate.replay`.

A file holds any number of recordings, each made in one go under one load. Recordings are the independent
evidence, pairs within one are not: record several of each load, at different times. Shape of the file,
gzipped where its name ends in ``.gz``::

    {"schema": 1, "recordings": [
      {"load": "quiet", "started": "2026-11-25T18:00:00+00:00", "machine": {...core.environment.fingerprint()},
       "head_first": "0110", "swapped": "0101",
       "benchmarks": {"suite.time_x": {"wall": [[1.2e-3, ...base...], [1.1e-3, ...head...]],
                                       "cpu": [[...base...], [...head...]]}}}]}

One character of ``head_first`` and ``swapped``, and one number of each row, stand for one pair, in the order
of time. ``cpu`` may be missing. Seconds per call are kept to five digits.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.core.text import why
from ics_bench.gate.series import SIDES, Pair
from ics_bench.results.codec import strict_loads
from ics_bench.results.files import write_file

SCHEMA = 1
DIGITS = 5
"""Significant digits of a time in a file: a thousandth of the effects that matter."""

MOST_BYTES = 1 << 28

_REMEDY = "record again with ics-bench gate --calibrate"


@dataclass(frozen=True, slots=True)
class Noise:
    """Times of one benchmark, a pair a place, in the order in which they were taken.

    Parameters
    ----------
    base_wall, head_wall : tuple of float
        Wall seconds per call, positive and finite.
    base_cpu, head_cpu : tuple of float
        Processor seconds per call; both empty where they were not measured.
    """

    base_wall: tuple[float, ...]
    head_wall: tuple[float, ...]
    base_cpu: tuple[float, ...] = ()
    head_cpu: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        wall, cpu = {len(self.base_wall), len(self.head_wall)}, {len(self.base_cpu), len(self.head_cpu)}
        if len(wall) != 1 or not (cpu == wall or cpu == {0}):
            raise ValueError("the sides have different numbers of times")
        for times in (self.base_wall, self.head_wall, self.base_cpu, self.head_cpu):
            for value in times:
                if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                    raise ValueError(f"{value!r:.40} is no time")
        if not all(self.base_wall) or not all(self.head_wall):
            raise ValueError("a wall time of 0 s")

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.base_wall)


@dataclass(frozen=True, slots=True)
class Recording:
    """Pairs of epochs of equal builds, one pair after the other, under one load.

    Parameters
    ----------
    load : str
        What else the machine did, such as ``"quiet"`` or ``"one busy core"``.
    started : str
        ISO time.
    benchmarks : mapping of str to Noise
        All with the same number of pairs: every epoch ran all of them.
    head_first, swapped : tuple of bool
        Of each pair, as in `Pair`.
    machine : mapping
        The fingerprint of `ics_bench.core.environment`.
    """

    load: str
    started: str
    benchmarks: Mapping[str, Noise]
    head_first: tuple[bool, ...] = ()
    swapped: tuple[bool, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.benchmarks or self.pairs < 1:
            raise ValueError(f"recording under load {self.load!r:.80} holds no pairs")
        for name, noise in self.benchmarks.items():
            if noise.pairs != self.pairs:
                raise ValueError(f"{name!r:.80} has {noise.pairs} pairs, others {self.pairs}")
        if len(self.head_first) != self.pairs or len(self.swapped) != self.pairs:
            raise ValueError(f"sides of {len(self.head_first)} and {len(self.swapped)} of {self.pairs} pairs")

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return next(iter(self.benchmarks.values())).pairs


def require_times(measured: Mapping[str, Sequence[Pair]]) -> None:
    """Refuse pairs of which one has no time.

    Raises
    ------
    UsageError
        Naming the benchmark.
    """
    for name, pairs in measured.items():
        for pair in pairs:
            for side in SIDES:
                if error := getattr(pair, side).error:
                    raise UsageError(f"{name!r} gave no time to record: {error}; leave it out with --only")


def record(
    load: str, started: str, measured: Mapping[str, Sequence[Pair]], machine: Mapping[str, Any] | None = None
) -> Recording:
    """Make a recording of what `Measure` returned for equal builds.

    Raises
    ------
    UsageError
        If a benchmark failed or lacks pairs that others have.
    """
    require_times(measured)
    first: Sequence[Pair] = next(iter(measured.values()), ())
    try:
        return Recording(
            load,
            started,
            {name: _noise(pairs) for name, pairs in measured.items()},
            tuple(pair.head_first for pair in first),
            tuple(pair.swapped for pair in first),
            dict(machine or {}),
        )
    except ValueError as error:
        raise UsageError(f"this noise cannot be recorded: {error}; {_REMEDY}") from error


def _noise(pairs: Sequence[Pair]) -> Noise:
    cpu = [(pair.base.cpu_seconds, pair.head.cpu_seconds) for pair in pairs]
    known = [(base, head) for base, head in cpu if base is not None and head is not None]
    whole = known if len(known) == len(cpu) else []
    return Noise(
        tuple(pair.base.value for pair in pairs),
        tuple(pair.head.value for pair in pairs),
        tuple(base for base, _ in whole),
        tuple(head for _, head in whole),
    )


def save_recordings(path: Path, recordings: Iterable[Recording]) -> Path:
    """Write recordings to a file, in one step; gzipped where its name ends in ``.gz``.

    Raises
    ------
    UsageError
        If the path cannot be written.
    """
    content = {"schema": SCHEMA, "recordings": [_encode(recording) for recording in recordings]}
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    return write_file(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def load_recordings(path: Path) -> list[Recording]:
    """Read recordings back.

    Raises
    ------
    UsageError
        If the file cannot be read, holds no recordings, or has a newer schema.
    """
    try:
        raw = strict_loads(_read(path))
        schema = raw["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise UsageError(
                f"{str(path)!r} was written with schema {schema}; this version reads up to {SCHEMA}: upgrade ics-bench"
            )
        found = [_decode(entry) for entry in raw["recordings"]]
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {why(error)}; name a file of recorded noise") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{str(path)!r} holds no recorded noise: {error}; {_REMEDY}") from error
    if not found:
        raise UsageError(f"{str(path)!r} holds no recording; {_REMEDY}")
    return found


def _read(path: Path) -> bytes:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    return content


def _encode(recording: Recording) -> dict[str, Any]:
    benchmarks = {}
    for name, noise in recording.benchmarks.items():
        rows = {"wall": [_short(noise.base_wall), _short(noise.head_wall)]}
        if noise.base_cpu:
            rows["cpu"] = [_short(noise.base_cpu), _short(noise.head_cpu)]
        benchmarks[name] = rows
    return {
        "load": recording.load,
        "started": recording.started,
        "machine": dict(recording.machine),
        "head_first": flags(recording.head_first),
        "swapped": flags(recording.swapped),
        "benchmarks": benchmarks,
    }


def _decode(raw: Mapping[str, Any]) -> Recording:
    return Recording(
        str(raw["load"]),
        str(raw["started"]),
        {
            str(name): Noise(*(tuple(row) for key in ("wall", "cpu") for row in rows.get(key, ((), ()))))
            for name, rows in raw["benchmarks"].items()
        },
        tuple(flag == "1" for flag in raw["head_first"]),
        tuple(flag == "1" for flag in raw["swapped"]),
        dict(raw["machine"]),
    )


def _short(times: Sequence[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in times]


def flags(values: Sequence[bool]) -> str:
    """Write truth values as a character each.

    Examples
    --------
    >>> flags([True, False])
    '10'
    """
    return "".join("1" if value else "0" for value in values)
