"""Makes two built commits ready for the decision: what both have, what each lacks, and how to measure it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from ics_bench.core import UsageError
from ics_bench.gate.epochs import Epochs
from ics_bench.gate.live import Listener, LiveMeasure
from ics_bench.gate.series import SIDES, Benchmark, Observation, Side
from ics_bench.gate.sides import Side as Built
from ics_bench.gate.sides import Workspace
from ics_bench.gate.suite import Item, choose, items_of


@dataclass(frozen=True, slots=True)
class Ready:
    """Two sides that the decision can begin with.

    Parameters
    ----------
    base, head : list of Benchmark
        What each has.
    measure : LiveMeasure
    warnings : list of str
    """

    base: list[Benchmark]
    head: list[Benchmark]
    measure: LiveMeasure
    warnings: list[str]


@dataclass
class Lists:
    """Benchmarks of built sides, each listed once.

    Parameters
    ----------
    workspace : Workspace
    """

    workspace: Workspace
    _epochs: dict[Built, Epochs] = field(default_factory=dict)
    _items: dict[Built, list[Item]] = field(default_factory=dict)

    def epochs(self, side: Built) -> Epochs:
        """Epochs of a side, which keep what its ``setup_cache`` left."""
        return self._epochs.setdefault(side, Epochs(self.workspace, side))

    def items(self, side: Built) -> list[Item]:
        """List the benchmarks of a side.

        Raises
        ------
        UsageError
            If it has none.
        BuildError
            If they cannot be imported.
        """
        if side not in self._items:
            events = self.workspace.listing(side)
            self.epochs(side).plugins = any(event.get("found", False) for event in events)
            listed = [event for event in events if event["event"] == "benchmark"]
            found = items_of(listed, side.configuration.benchmark_seconds)
            if not found:
                raise UsageError(
                    f"{side.commit} has no benchmarks in {side.configuration.benchmarks}/; "
                    "asv finds functions and methods by their names, such as time_x and track_x"
                )
            self._items[side] = found
        return self._items[side]


def get_ready(
    lists: Lists, base: Built, head: Built, only: str | None, deadline: float, rng: random.Random, listener: Listener
) -> Ready:
    """List what both sides have, run all of it once, and settle what is deterministic.

    Parameters
    ----------
    only : str, optional
        Pattern of the names that are wanted.
    deadline : float
        Of `time.monotonic`.

    Raises
    ------
    UsageError
        If there is nothing to measure.
    BuildError
        If benchmarks cannot be imported.
    """
    chosen = choose([lists.items(base), lists.items(head)], only)
    by_name: dict[Side, dict[str, Item]] = {
        side: {item.name: item for item in items} for side, items in zip(SIDES, chosen, strict=True)
    }
    both = {
        name: (item, by_name["head"][name])
        for name, item in by_name["base"].items()
        if name in by_name["head"] and item.benchmark == by_name["head"][name].benchmark
    }
    measure = LiveMeasure(lists.epochs(base), lists.epochs(head), both, deadline, rng, listener)
    looked = measure.look(list(both))
    warnings = _leave_out_skipped(by_name, looked)
    measure.settle([name for name in looked if name in measure.settled])
    for name, items in measure.items.items():
        for side, item in zip(SIDES, items, strict=True):
            if name in by_name[side]:
                by_name[side][name] = item
    benchmarks = {side: [item.benchmark for item in items.values()] for side, items in by_name.items()}
    if not any(benchmarks.values()):
        raise UsageError(f"every benchmark is skipped on both sides: {warnings[0]}")
    return Ready(benchmarks["base"], benchmarks["head"], measure, warnings)


def _leave_out_skipped(
    by_name: Mapping[Side, dict[str, Item]], looked: Mapping[str, tuple[Observation | str, Observation | str]]
) -> list[str]:
    """Take from each side what it skips; what only one skips is missing or new."""
    warnings = []
    for name, outcomes in looked.items():
        skipped: Sequence[Side] = [
            side for side, outcome in zip(get_args(Side), outcomes, strict=True) if isinstance(outcome, str)
        ]
        for side in skipped:
            del by_name[side][name]
        if skipped:
            reason = next(outcome for outcome in outcomes if isinstance(outcome, str))
            warnings.append(f"{name} is skipped on {' and '.join(skipped)}: {reason}")
    return warnings
