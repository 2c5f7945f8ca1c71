"""What the gate measures and what it hands to the decision: benchmarks, and pairs of process epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ics_bench.core.metric import Better, Kind

Side = Literal["base", "head"]
SIDES: tuple[Side, Side] = ("base", "head")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One number that a side of the comparison yields.

    Parameters
    ----------
    name : str
        Identity within the project, parameters included, such as ``"lr_ceiling.LrCeiling.track_steps(20, 'batch')"``.
    kind : {"exact", "seeded", "timing", "memory"}
        Picks the statistics.
    unit : str
        Unit of its values.
    better : {"lower", "higher", "neutral"}, optional
        Direction of improvement; ``None`` where nobody declared it: then it is reported and not judged.
    version : str
        Fingerprint of what the number means; sides of different versions are not compared.
    smallest_effect : float, optional
        Smallest change that matters, in the unit; for convergence metrics.
    """

    name: str
    kind: Kind
    unit: str
    better: Better | None
    version: str = ""
    smallest_effect: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What one process epoch of one side gave for one benchmark.

    Parameters
    ----------
    value : float
        Per call: wall seconds of a timing, bytes of a memory benchmark, the number itself otherwise.
        NaN where there is an ``error``.
    cpu_seconds : float, optional
        Processor time per call of a timing.
    seeds : mapping of int to sequence of float, optional
        Per-seed trajectory of a convergence metric, its last element being the value that is judged.
    error : str
        Why there is no value: what was raised, a signal, a time-out; empty where there is one.
    """

    value: float
    cpu_seconds: float | None = None
    seeds: Mapping[int, Sequence[float]] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two process epochs, one a side, which take turns.

    Where they take a time, from sample to sample, else from benchmark to benchmark. Peaks of memory, and what failed
    in turns, are measured one after the other.

    Parameters
    ----------
    base, head : Observation
    head_first : bool
        Whether the first turn was the head's.
    swapped : bool
        Whether head lay in the first of the two work trees.
    """

    base: Observation
    head: Observation
    head_first: bool = False
    swapped: bool = False


class Measure(Protocol):
    """Measures more pairs: live from two work trees, or in a replay from recorded noise."""

    def __call__(self, names: Sequence[str], pairs: int) -> Mapping[str, Sequence[Pair]]:
        """Run ``pairs`` fresh pairs of epochs of the named benchmarks, all of them in every epoch.

        A benchmark may come back with fewer pairs where the budget ended.
        """
        ...
