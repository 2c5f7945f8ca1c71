"""What the gate measures and what it hands to the decision: benchmarks, and pairs of process epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ics_bench.core.metric import Better, Kind

Side = Literal["base", "head"]
SIDES: tuple[Side, Side] = ("base", "head")

UNKNOWN_DIRECTION = "unknown direction: reported, not judged"


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
    smallest_ratio : float, optional
        The same as a factor above 1, where the values are on a logarithmic scale.
    infinity_is_best : bool
        Whether infinity on the good side is a value; all else that is not finite is a failure.
    """

    name: str
    kind: Kind
    unit: str
    better: Better | None
    version: str = ""
    smallest_effect: float | None = None
    smallest_ratio: float | None = None
    infinity_is_best: bool = False

    @property
    def undirected(self) -> str:
        """Why it is reported and not judged; empty where it has a direction."""
        if self.better in ("lower", "higher"):
            return ""
        return UNKNOWN_DIRECTION if self.better is None else "neutral: reported, not judged"


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
    failed_in_turns : str
        What went wrong while the sides took turns, where the value is of a second try alone.
    """

    value: float
    cpu_seconds: float | None = None
    seeds: Mapping[int, Sequence[float]] | None = None
    error: str = ""
    failed_in_turns: str = ""


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
    unsure : str
        Why it was not measured as its difference asks for; then numbers that differ decide nothing.
    """

    base: Observation
    head: Observation
    head_first: bool = False
    swapped: bool = False
    unsure: str = ""


def same_numbers(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sequences hold the same to the last bit, NaN included."""
    return len(one) == len(other) and all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


def same_seeds(one: Mapping[int, Sequence[float]] | None, other: Mapping[int, Sequence[float]] | None) -> bool:
    """Whether two sets of trajectories are of the same seeds and the same to the last bit; none are as none."""
    if one is None or other is None:
        return one is other
    return one.keys() == other.keys() and all(same_numbers(values, other[seed]) for seed, values in one.items())


class Measure(Protocol):
    """Measures more pairs: live from two work trees, or in a replay from recorded noise."""

    def __call__(self, names: Sequence[str], pairs: int) -> Mapping[str, Sequence[Pair]]:
        """Run ``pairs`` fresh pairs of epochs of the named benchmarks, all of them in every epoch.

        A benchmark may come back with fewer pairs where the budget ended.
        """
        ...
