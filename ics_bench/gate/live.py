"""Measures two built commits against each other: pairs of epochs, interleaved."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ics_bench.gate.convergence import judge_values
from ics_bench.gate.epochs import Epochs, failed, observe_in_turns
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import SIDES, Observation, Pair, Side, same_numbers, same_seeds
from ics_bench.gate.sides import LINKS
from ics_bench.gate.suite import Item, Way

LEAST_SEEDS = 16
"""Convergence metrics that differ are measured again on no fewer seeds than this."""

AGAIN_SECONDS = 20.0
"""What takes longer than this, on both sides together, is not run a second time only to see whether it varies."""

NO_TIME = "the budget ended before it was measured again"

Outcomes = dict[Side, dict[str, Observation | str]]

Listener = Callable[[int, int, int], None]
"""Hears of the pairs that are done, of those that were asked for, and of the number of benchmarks."""


def balanced(number: int, rng: random.Random) -> list[bool]:
    """Draw truth values in random order, half of them true; the odd one is drawn."""
    values = [place % 2 == 0 for place in range(number - number % 2)]
    values += [rng.random() < 0.5] * (number % 2)
    rng.shuffle(values)
    return values


@dataclass
class LiveMeasure:
    """Runs pairs of epochs of two commits; a `ics_bench.gate.series.Measure`.

    Parameters
    ----------
    base, head : Epochs
    items : mapping of str to (Item, Item)
        What both sides have, measured in one way: base's and head's, by name.
    deadline : float
        Of `time.monotonic`; no pair is begun that would end later.
    rng : random.Random
        Draws the order of sides and benchmarks.
    listener : callable

    Attributes
    ----------
    pairs_run : int
    out_of_time : bool
        Whether the deadline kept pairs from being run.
    settled : dict of str to list of Pair
        What is not measured again: it is deterministic, or failed.
    warnings : dict of str to str
        Failures that did not come again, one a benchmark.
    """

    base: Epochs
    head: Epochs
    items: dict[str, tuple[Item, Item]]
    deadline: float
    rng: random.Random
    listener: Listener = lambda done, asked, benchmarks: None
    pairs_run: int = 0
    out_of_time: bool = False
    settled: dict[str, list[Pair]] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    _seconds: dict[frozenset[str], float] = field(default_factory=dict)

    def __call__(self, names: Sequence[str], pairs: int) -> Mapping[str, Sequence[Pair]]:
        """Run ``pairs`` fresh pairs of the named benchmarks, fewer where the time ends.

        What is deterministic, and what failed, comes back as one pair.
        """
        found = {name: list(self.settled[name]) for name in names if name in self.settled}
        waiting = [name for name in names if name not in found]
        orders, swaps = balanced(pairs, self.rng), balanced(pairs, self.rng)
        for done, (head_first, swapped) in enumerate(zip(orders, swaps, strict=True)):
            self.listener(done, pairs, len(waiting))
            waiting = [name for name in waiting if name not in self.settled]
            if not waiting or not self._time_for(waiting):
                break
            for name, pair in self._pair(waiting, head_first, swapped).items():
                found.setdefault(name, []).append(pair)
        self.listener(pairs, pairs, len(waiting))
        return {name: found.get(name, []) for name in names}

    def look(self, names: Sequence[str]) -> dict[str, tuple[Observation | str, Observation | str]]:
        """Run every benchmark once a side, to know which are skipped, fail, vary or take long.

        Timings of this pair are not used: files are cold. What is deterministic is settled by it. What the
        deadline leaves no time for is left out.
        """
        found: dict[str, tuple[Observation | str, Observation | str]] = {}
        for group in self._groups(names):
            if not self._time_left():
                break
            began = time.monotonic()
            outcomes = self._run(group, head_first=False, swapped=False)
            self._seconds[frozenset(group)] = time.monotonic() - began
            for name in group:
                base, head = (outcomes[side][name] for side in SIDES)
                found[name] = base, head
                if isinstance(base, str) or isinstance(head, str):
                    continue
                if base.error or head.error or self.items[name][1].way == "once":
                    self.settled[name] = [Pair(base, head)]
        return found

    def settle(self, names: Sequence[str]) -> None:
        """Make sure of what one look settled: seeds that differ need more of them, other numbers a second look.

        What differs and is not looked at again, for want of time, is left unsure.
        """
        for group in self._settled_groups(names):
            seeded = self.items[group[0]][1].benchmark.kind == "seeded"
            differ = [name for name in group if _differs(self.settled[name][0])]
            if differ and not (self._time_left() if seeded else self._time_for(differ)):
                for name in differ:
                    self.settled[name] = [replace(self.settled[name][0], unsure=NO_TIME)]
            elif differ:
                (self._add_seeds if seeded else self._look_again)(differ)
            elif not seeded and self._is_quick(group):
                self._look_again(group)

    def _settled_groups(self, names: Sequence[str]) -> list[list[str]]:
        """Put together what one process measures again: metrics of a case on seeds, readers of a cache."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            base, head = (getattr(self.settled[name][0], side) for side in SIDES)
            item, reseeds = self.items[name][1], all(each.reseeds for each in self.items[name])
            if base.error or head.error:
                continue
            if item.benchmark.kind != "seeded":
                groups.setdefault(("look", item.cache or name), []).append(name)
            elif reseeds and base.seeds and head.seeds and not self._condemned(name):
                groups.setdefault(("seeds", item.cache or name, item.case), []).append(name)
        return list(groups.values())

    def _condemned(self, name: str) -> bool:
        """Whether the first seeds decide for the worse, as one that broke does: no others take that back."""
        return judge_values(self.items[name][1].benchmark, self.settled[name], Rule()).verdict in (
            "regression",
            "error",
        )

    def _is_quick(self, group: Sequence[str]) -> bool:
        """Whether a second look at numbers that agree costs little."""
        cached = any(self.items[name][1].cache for name in group)
        return not cached and self._seconds.get(frozenset(group), 0.0) <= AGAIN_SECONDS and self._time_for(group)

    def _add_seeds(self, names: Sequence[str]) -> None:
        """Measure on fresh seeds besides those that differ, of which some may have broken and others been mended."""
        first = {name: self.settled[name][0] for name in names}
        start = 1 + max(seed for pair in first.values() for side in SIDES for seed in _seeds(pair, side))
        outcomes = self._run(names, False, False, seeds=list(range(start, start + LEAST_SEEDS)))
        for name in names:
            fresh = _pair_of(outcomes, name)
            self.settled[name] = [fresh if fresh.base.error or fresh.head.error else _joined(first[name], fresh)]

    def _look_again(self, names: Sequence[str]) -> None:
        """Measure what should be deterministic once more; what is not, and never said so, is repeated from now on."""
        again = self._run(names, head_first=True, swapped=True, fresh_caches=True)
        for name in names:
            pair = _pair_of(again, name, head_first=True, swapped=True)
            first = self.settled[name][0]
            self.settled[name].append(pair)
            varied = not all(_agree(getattr(pair, side), getattr(first, side)) for side in SIDES)
            base, head = self.items[name]
            if varied and not head.settled and not (pair.base.error or pair.head.error):
                del self.settled[name]
                self.items[name] = base.as_varying(), head.as_varying()

    def _pair(self, names: Sequence[str], head_first: bool, swapped: bool) -> dict[str, Pair]:
        began = time.monotonic()
        pairs: dict[str, Pair] = {}
        for group in self._groups(names):
            run = self._run if self.items[group[0]][1].way == "alone" else self._run_in_turns
            outcomes = run(group, head_first, swapped)
            for name in group:
                pairs[name] = pair = _pair_of(outcomes, name, head_first, swapped)
                if pair.base.error or pair.head.error:
                    self.settled[name] = [pair]
        self._seconds[frozenset(names)] = time.monotonic() - began
        self.pairs_run += 1
        return pairs

    def _groups(self, names: Sequence[str]) -> list[list[str]]:
        """Put names into the processes that measure them, all in random order."""
        groups: dict[tuple[Way, str | None], list[str]] = {}
        for name in names:
            item = self.items[name][1]
            key = name if item.way == "alone" else item.cache if item.way == "repeated" else None
            if item.way == "once":  # as in asv, what one leaves behind is not what another begins with
                key = item.cache or name
            groups.setdefault((item.way, key), []).append(name)
        found = list(groups.values())
        for group in found:
            self.rng.shuffle(group)
        self.rng.shuffle(found)
        return found

    def _run(
        self,
        names: Sequence[str],
        head_first: bool,
        swapped: bool,
        seeds: Sequence[int] | None = None,
        fresh_caches: bool = False,
    ) -> Outcomes:
        """Run one group on both sides, one after the other, in the same order of benchmarks."""
        epochs, links, items = self._sides(names, swapped)
        fresh_caches |= self.items[names[0]][1].way == "repeated"
        return {
            side: epochs[side].observe(items[side], links[side], fresh_caches=fresh_caches, seeds=seeds)
            for side in (reversed(SIDES) if head_first else SIDES)
        }

    def _run_in_turns(self, names: Sequence[str], head_first: bool, swapped: bool) -> Outcomes:
        """Run one group on both sides, alternating, in the same order of benchmarks."""
        epochs, links, items = self._sides(names, swapped)
        fresh = self.items[names[0]][1].way == "repeated"
        first: Side = "head" if head_first else "base"
        outcomes = observe_in_turns(epochs, items, links, first=first, fresh_caches=fresh)
        for side, found in outcomes.items():
            for name, outcome in found.items():
                if isinstance(outcome, Observation) and outcome.failed_in_turns:
                    told = f"failed while the sides took turns, on {side}: {outcome.failed_in_turns}; alone it did not"
                    self.warnings.setdefault(name, f"{name} {told}")
        return outcomes

    def _sides(
        self, names: Sequence[str], swapped: bool
    ) -> tuple[dict[Side, Epochs], dict[Side, str], dict[Side, list[Item]]]:
        """Give each side its name and its items."""
        links: dict[Side, str] = dict(zip(SIDES, reversed(LINKS) if swapped else LINKS, strict=True))
        epochs: dict[Side, Epochs] = {"base": self.base, "head": self.head}
        for side in SIDES:
            epochs[side].take_name(links[side])
        return epochs, links, {side: [self.items[name][SIDES.index(side)] for name in names] for side in SIDES}

    def _time_left(self) -> bool:
        """Whether anything may still begin."""
        left = time.monotonic() <= self.deadline
        self.out_of_time |= not left
        return left

    def _time_for(self, names: Sequence[str]) -> bool:
        """Whether another pair of these would end in time, as far as earlier ones tell."""
        wanted = frozenset(names)
        known = [seconds for ran, seconds in self._seconds.items() if ran >= wanted]
        fits = time.monotonic() + min(known, default=0.0) <= self.deadline
        self.out_of_time |= not fits
        return fits


def _pair_of(outcomes: Outcomes, name: str, head_first: bool = False, swapped: bool = False) -> Pair:
    return Pair(_number(outcomes["base"][name]), _number(outcomes["head"][name]), head_first, swapped)


def _number(outcome: Observation | str) -> Observation:
    return failed(f"skipped this time: {outcome}") if isinstance(outcome, str) else outcome


def _seeds(pair: Pair, side: Side) -> Mapping[int, Sequence[float]]:
    observation: Observation = getattr(pair, side)
    return observation.seeds or {}


def _joined(first: Pair, fresh: Pair) -> Pair:
    """Put fresh seeds beside those of the first pair."""
    base, head = ({**_seeds(first, side), **_seeds(fresh, side)} for side in SIDES)
    return replace(fresh, base=replace(fresh.base, seeds=base), head=replace(fresh.head, seeds=head))


def _differs(pair: Pair) -> bool:
    return not _agree(pair.base, pair.head)


def _agree(one: Observation, other: Observation) -> bool:
    """Whether two observations hold the same to the last bit: trajectories where they have them."""
    return same_seeds(one.seeds, other.seeds) and (one.seeds is not None or same_numbers([one.value], [other.value]))
