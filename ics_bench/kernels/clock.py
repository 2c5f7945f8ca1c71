"""Timing that can be believed: interleaved arms, rotated buffers, the machine watched meanwhile."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ics_bench.kernels.machine import Load, page_faults

MIN_ROUNDS, MAX_ROUNDS = 31, 51
"""With 31 the median's 95 % interval lies between the 10th and the 22nd value; more rounds narrow it."""

BUDGET_SECONDS = 0.5
"""Rounds end after this time once there are enough of them."""

WARM_UP_SECONDS = 0.2
"""Long enough for the processor's clock frequency to settle."""

CPU_WARM_UP_SECONDS = 0.1
"""Of kernels on a processor, which drawing their inputs keeps busy until then; arms take turns, so that
both see what is left of a rise."""

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Samples:
    """Seconds by arm, one value a round, what the machine did meanwhile, and pages that each arm touched first."""

    seconds: Mapping[str, tuple[float, ...]]
    load: Load
    page_faults: Mapping[str, int] = field(default_factory=dict)


def interleave(
    arms: Mapping[str, Sequence[Call]],
    order: random.Random,
    budget_seconds: float = BUDGET_SECONDS,
    warm_up_seconds: float = WARM_UP_SECONDS,
) -> Samples:
    """Time every arm once a round, in a new random order each round.

    Each arm has several closures, over different buffers, and uses them in turn; what one returns is kept
    until its turn comes again. All are called beforehand. The garbage collector rests meanwhile.

    Parameters
    ----------
    arms : mapping of str to sequence of callable
    order : random.Random
        Source of the shuffles.
    budget_seconds : float
        When to stop, once `MIN_ROUNDS` are complete; `MAX_ROUNDS` at most.
    warm_up_seconds : float
        For how long all are called beforehand, each once at least.
    """
    kept = _warm_up(arms, warm_up_seconds)
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    faults = dict.fromkeys(arms, 0)
    names = list(arms)
    collecting = gc.isenabled()
    gc.disable()
    try:
        with Load() as load:
            start = time.perf_counter()
            for number in range(MAX_ROUNDS):
                if number >= MIN_ROUNDS and time.perf_counter() - start > budget_seconds:
                    break
                order.shuffle(names)
                for name in names:
                    turn = number % len(arms[name])
                    call = arms[name][turn]
                    touched = page_faults()
                    before = time.perf_counter_ns()
                    result = call()
                    after = time.perf_counter_ns()
                    faults[name] += page_faults() - touched
                    kept[name][turn] = result
                    seconds[name].append((after - before) * 1e-9)
    finally:
        if collecting:
            gc.enable()
    return Samples({name: tuple(values) for name, values in seconds.items()}, load, faults)


def _warm_up(arms: Mapping[str, Sequence[Call]], seconds: float) -> dict[str, list[object]]:
    """Call every closure, again until the time is up, and keep what each returned last."""
    start = time.perf_counter()
    while True:
        kept: dict[str, list[object]] = {name: [call() for call in calls] for name, calls in arms.items()}
        if time.perf_counter() - start > seconds:
            return kept


def overhead_seconds(calls: int = 201) -> float:
    """Time that `interleave` sees for a closure that does nothing: the suite's own share of each sample."""

    def nothing() -> None:
        return None

    samples = []
    for _ in range(calls):
        before = time.perf_counter_ns()
        nothing()
        samples.append((time.perf_counter_ns() - before) * 1e-9)
    return statistics.median(samples)
