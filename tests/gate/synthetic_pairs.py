"""Pairs of epochs with noise that is known, as the live gate would hand them over."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ics_bench.gate.series import Benchmark, Observation, Pair

Observe = Callable[[np.random.Generator], tuple[Observation, Observation]]


def timing(name: str, better: str | None = "lower", unit: str = "s", version: str = "") -> Benchmark:
    return Benchmark(name, "timing", unit, better, version)


def noisy(
    factor: float = 1.0, cv: float = 0.1, cpu_factor: float | None = None, cpu_cv: float | None = None
) -> Observe:
    """Wall and processor time of about 1 ms; ``cv`` is the standard deviation of a pair's log-ratio."""

    def observe(generator: np.random.Generator) -> tuple[Observation, Observation]:
        wall, cpu = generator.normal(size=2)
        shared = math.exp(generator.normal() * 0.3)  # both sides of a pair see the same machine
        own = cv if cpu_cv is None else cpu_cv
        times = (factor if cpu_factor is None else cpu_factor) * math.exp(own * (0.7 * wall + 0.714 * cpu))
        head = Observation(1e-3 * shared * factor * math.exp(cv * wall), 1e-3 * shared * times)
        return Observation(1e-3 * shared, 1e-3 * shared), head

    return observe


def always(base: Observation, head: Observation) -> Observe:
    return lambda generator: (base, head)


def seeded(base: Sequence[Sequence[float]], head: Sequence[Sequence[float]]) -> Observe:
    sides = [Observation(float(side[0][-1]), seeds=dict(enumerate(side))) for side in (base, head)]
    return always(*sides)


class Synthetic:
    """A `Measure` of known truth. ``budget`` is the number of pairs after which it stops."""

    def __init__(self, truth: Mapping[str, Observe], seed: int = 0, budget: float = math.inf) -> None:
        self._truth, self._generator, self._left = truth, np.random.default_rng(seed), budget
        self.calls: list[tuple[tuple[str, ...], int]] = []

    def __call__(self, names: Sequence[str], pairs: int) -> Mapping[str, Sequence[Pair]]:
        self.calls.append((tuple(names), pairs))
        given = int(min(pairs, self._left))
        self._left -= given
        return {name: [Pair(*self._truth[name](self._generator)) for _ in range(given)] for name in names}

    @property
    def pairs(self) -> int:
        return sum(pairs for _, pairs in self.calls)
