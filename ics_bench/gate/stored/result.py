"""One side of a comparison of stored results, whatever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ics_bench.gate.series import Benchmark, Observation


@dataclass(frozen=True, slots=True)
class Entry:
    """One benchmark with what was stored of it.

    Parameters
    ----------
    benchmark : Benchmark
    observation : Observation
    samples : tuple of float
        Single timings of one process, where they were kept: repetitions, not replicas.
    """

    benchmark: Benchmark
    observation: Observation
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored result.

    Parameters
    ----------
    label : str
        What the reader calls it.
    source : {"ics-bench", "asv", "pytest-benchmark"}
        What wrote it.
    entries : tuple of Entry
    environment : mapping of str to str
        What must agree before two results compare: processor, cores, versions.
    commit : str
        Empty where it is not known.
    warnings : tuple of str
    """

    label: str
    source: str
    entries: tuple[Entry, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Label and commit, where there is one."""
        return f"{self.label} ({self.commit[:12]})" if self.commit else self.label
