"""Replays of recorded noise through the decision: how often it cries wolf, and how often it misses.

A suite run draws its pairs from one recording: blocks of successive pairs, all benchmarks together, so that
what moved them together still does; each pair swaps sides with a fair coin; and the head of some benchmarks is
made slower by a factor. The decision is the one of the live gate, unchanged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ics_bench.gate.decision import decide
from ics_bench.gate.recording import DIGITS, Recording
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Observation, Pair

BLOCK = 8
"""Successive pairs that are drawn together: noise comes in spells."""

Fate = str
"""What became of a benchmark: a verdict, or a rival rule's ``"regression"`` or ``"no change"``."""


class Resampled:
    """Measures by drawing from a recording; implements `ics_bench.gate.series.Measure`.

    Parameters
    ----------
    recording : Recording
    factors : mapping of benchmark to float
        How many times slower its head is; 1 for those that are absent.
    generator : Generator
    swap : bool
        Exchange the sides of a pair at random. Signs are then fair whatever was recorded; without it, a side that
        was recorded slower stays slower.
    """

    def __init__(
        self,
        recording: Recording,
        factors: Mapping[str, float],
        generator: np.random.Generator,
        swap: bool = True,
    ) -> None:
        self._recording, self._factors, self._generator, self._swap = recording, factors, generator, swap
        self.pairs = 0

    def __call__(self, names: Sequence[str], pairs: int) -> Mapping[str, Sequence[Pair]]:
        """Draw pairs of the named benchmarks."""
        self.pairs += pairs
        places = block_places(self._recording.pairs, pairs, self._generator)
        swapped = (self._generator.random(pairs) < 0.5) & self._swap
        return {name: self._draw(name, places, swapped) for name in names}

    def _draw(self, name: str, places: NDArray[np.int64], swapped: NDArray[np.bool_]) -> list[Pair]:
        noise = self._recording.benchmarks[name]
        factor = self._factors.get(name, 1.0)
        wall = self._sides(noise.base_wall, noise.head_wall, places, swapped, factor)
        if not noise.base_cpu:
            return [Pair(Observation(base), Observation(head)) for base, head in zip(*wall, strict=True)]
        cpu = self._sides(noise.base_cpu, noise.head_cpu, places, swapped, factor)
        times = zip(*wall, *cpu, strict=True)
        return [
            Pair(Observation(base, base_cpu), Observation(head, head_cpu)) for base, head, base_cpu, head_cpu in times
        ]

    def _sides(
        self,
        base: Sequence[float],
        head: Sequence[float],
        places: NDArray[np.int64],
        swapped: NDArray[np.bool_],
        factor: float,
    ) -> tuple[list[float], list[float]]:
        one, other = np.asarray(base)[places], np.asarray(head)[places]
        first, second = np.where(swapped, other, one), np.where(swapped, one, other)
        # A pair drawn twice would tie with itself to the last bit, which measured ones do not.
        blur = 1 + self._generator.uniform(-0.5, 0.5, (2, len(places))) * 10.0 ** (1 - DIGITS)
        return (first * blur[0]).tolist(), (second * blur[1] * factor).tolist()


def block_places(recorded: int, wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Places of pairs in a recording, in blocks that run on from its end to its start."""
    starts = generator.integers(0, recorded, size=-(-wanted // BLOCK))
    places: NDArray[np.int64] = (starts[:, None] + np.arange(BLOCK)).ravel()[:wanted] % recorded
    return places


@dataclass
class Tally:
    """What became of the suite runs of one rule on one recording under one factor.

    Parameters
    ----------
    runs : int
        Suite runs.
    alarms : int
        Those in which a benchmark that was not made slower than the margin was called a regression.
    open_runs : int
        Those that left a benchmark undecided and had no regression.
    fates : mapping of benchmark to counter
        What became of those that were made slower, or of all where all were.
    pairs : int
        Pairs of epochs taken in all.
    """

    runs: int = 0
    alarms: int = 0
    open_runs: int = 0
    fates: dict[str, Counter[Fate]] = field(default_factory=dict)
    pairs: int = 0

    def add(self, verdicts: Mapping[str, Fate], slowed: Sequence[str], innocent: Sequence[str], pairs: int) -> None:
        """Count one suite run."""
        self.runs += 1
        self.pairs += pairs
        self.alarms += any(verdicts[name] == "regression" for name in innocent)
        self.open_runs += "inconclusive" in verdicts.values() and "regression" not in verdicts.values()
        for name in slowed:
            self.fates.setdefault(name, Counter())[verdicts[name]] += 1

    def share(self, *fates: Fate, among: Sequence[str] | None = None) -> float:
        """Share of the slowed benchmarks that met one of these fates; NaN where there are none."""
        counted = [counter for name, counter in self.fates.items() if among is None or name in among]
        total = sum(counter.total() for counter in counted)
        return sum(counter[fate] for counter in counted for fate in fates) / total if total else math.nan


def replay(recording: Recording, factor: float, runs: int, rule: Rule, seed: int = 0, swap: bool = True) -> Tally:
    """Replay suite runs through `decide`.

    Up to the margin, where nothing may be called a regression, every benchmark is made slower; beyond it, one a
    run, in turn.

    Parameters
    ----------
    recording : Recording
    factor : float
        How many times slower.
    runs : int
    rule : Rule
    seed : int
    swap : bool
        As in `Resampled`.
    """
    names = list(recording.benchmarks)
    benchmarks = [Benchmark(name, "timing", "s", "lower") for name in names]
    generator = np.random.default_rng(seed)
    tally = Tally()
    for run in range(runs):
        slowed, innocent = roles(names, factor, run, rule)
        measure = Resampled(recording, dict.fromkeys(slowed, factor), generator, swap)
        decision = decide(benchmarks, benchmarks, measure, rule)
        tally.add({result.name: result.verdict for result in decision.results}, slowed, innocent, measure.pairs)
    return tally


def roles(names: Sequence[str], factor: float, run: int, rule: Rule) -> tuple[Sequence[str], Sequence[str]]:
    """Which benchmarks of a run are made slower, and which must not be called a regression."""
    if factor <= 1 + rule.margin:
        return names, names
    slowed = names[run % len(names)]
    return [slowed], [name for name in names if name != slowed]


def noise_cv(recording: Recording, name: str) -> tuple[float, float]:
    """Return the standard deviations of the log-ratios of wall and of processor time; NaN where it was not measured."""
    noise = recording.benchmarks[name]
    wall, cpu = (
        float(np.std(np.log(np.divide(head, base)), ddof=1)) if len(base) > 1 and all(base) and all(head) else math.nan
        for base, head in ((noise.base_wall, noise.head_wall), (noise.base_cpu, noise.head_cpu))
    )
    return wall, cpu


def mean_pairs(tallies: Sequence[Tally]) -> float:
    """Pairs that a suite run takes on average."""
    return fmean(tally.pairs / tally.runs for tally in tallies)
