"""Runs epochs: of one side alone, or of both in turns; another process for what a crash or a hang left over."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ics_bench.gate.processes import ChildError, ChildTimeoutError, Event, last_lines, listen
from ics_bench.gate.series import SIDES, Observation
from ics_bench.gate.series import Side as SideName
from ics_bench.gate.sides import Side, Workspace, hear_out
from ics_bench.gate.suite import Item

STARTING_SECONDS = 120.0
"""Least that an epoch may take to import its benchmarks."""

BETWEEN_SECONDS = 60.0
"""Longest between the end of one benchmark and the beginning of the next."""

SAMPLING: Mapping[str, Any] = {"warmup_time": 0.02, "sample_time": 0.01, "repeat": [1, 10, 0.05]}
"""Of asv's attributes for timings: seconds of warm-up, seconds of a sample, and the least and largest number of samples
with the seconds that they may take. An epoch is one observation, however many samples it has; more of them would only
keep others from being measured under the same conditions."""


@dataclass
class Epochs:
    """Observes the benchmarks of one side.

    Parameters
    ----------
    workspace : Workspace
    side : Side
    plugins : bool
        Whether asv_runner has plug-ins there, which it then needs to look for.
    """

    workspace: Workspace
    side: Side
    plugins: bool = True
    _caches: dict[str, str] = field(default_factory=dict)

    def take_name(self, name: str) -> None:
        """Take one of the swapped names."""
        self.workspace.name(self.side, name)

    def observe(
        self, items: Sequence[Item], name: str, *, fresh_caches: bool = False, seeds: Sequence[int] | None = None
    ) -> dict[str, Observation | str]:
        """Measure benchmarks in this order, in as few processes as it takes.

        Parameters
        ----------
        items : sequence of Item
        name : {"a", "b"}
            Under which of the swapped names.
        fresh_caches : bool
            Whether the process runs ``setup_cache`` itself.
        seeds : sequence of int, optional
            Measure on these.

        Returns
        -------
        dict of str to Observation or str
            By name; a text says why a benchmark was skipped.
        """
        found = {} if fresh_caches or seeds is not None else self.fill_caches(items, name)
        waiting = [item for item in items if item.name not in found]
        while waiting:
            found |= self._process(waiting, name, fresh_caches, seeds)
            waiting = [item for item in waiting if item.name not in found]
        return found

    def _process(
        self, items: Sequence[Item], name: str, fresh_caches: bool, seeds: Sequence[int] | None
    ) -> dict[str, Observation | str]:
        account = Account(items, with_caches=fresh_caches or seeds is not None)
        request = self.request(items, name, fresh_caches, seeds)
        try:
            with self.workspace.conversation(self.side, name, request, account.limit) as talk:
                for event in hear_out(talk):
                    account.take(event)
        except ChildError as error:
            account.end(error, self.workspace.epoch_log(name))
        return account.found

    def request(
        self, items: Sequence[Item], name: str, fresh_caches: bool, seeds: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Put together what an epoch is asked."""
        keys = {item.cache for item in items if item.cache is not None}
        return {
            "mode": "run",
            "root": self.side.benchmarks(name),
            "items": [{"id": item.id, "seeds": seeds} for item in items],
            "caches": {key: str(self.side.caches(name) / _folder(key)) for key in keys},
            "own_caches": sorted(keys) if fresh_caches else [],
            "sampling": SAMPLING,
            "plugins": self.plugins,
            "memory_of_objects": any(item.of_objects for item in items),
        }

    def fill_caches(self, items: Sequence[Item], name: str) -> dict[str, Observation | str]:
        """Run what ``setup_cache`` these need, once for all; return the failures of those that have none."""
        errors = {item.name: self._fill_cache(item, name) for item in items}
        return {name: failed(error) for name, error in errors.items() if error}

    def _fill_cache(self, item: Item, name: str) -> str:
        """Run the ``setup_cache`` of a benchmark, once for all; return why that failed, empty if it did not."""
        if item.cache is None:
            return ""
        if item.cache not in self._caches:
            self._caches[item.cache] = self._run_setup_cache(item, item.cache, name)
        return self._caches[item.cache]

    def _run_setup_cache(self, item: Item, key: str, name: str) -> str:
        folder = self.side.caches(name) / _folder(key)
        folder.mkdir()
        request = {"mode": "cache", "root": self.side.benchmarks(name), "id": item.id}
        limit = item.cache_seconds + STARTING_SECONDS
        try:
            with self.workspace.conversation(self.side, name, request, lambda event: limit, folder) as talk:
                for _ in hear_out(talk):
                    pass
        except ChildTimeoutError:
            return f"setup_cache timed out after {item.cache_seconds:g} s"
        except ChildError as died:
            said = " ".join(last_lines(self.workspace.epoch_log(name), 1))
            return f"setup_cache failed: its process {died}{f': {said}' if said else ''}"
        return ""


class Account:
    """What one process has said of the benchmarks that it was asked for.

    Parameters
    ----------
    items : sequence of Item
    with_caches : bool
        Whether it runs ``setup_cache`` too, or measures as much on other seeds.
    in_turns : bool
        Whether it waits for another one that measures the same.

    Attributes
    ----------
    found : dict of str to Observation or str
        By name; a text says why a benchmark was skipped.
    """

    def __init__(self, items: Sequence[Item], with_caches: bool, in_turns: bool = False) -> None:
        self.found: dict[str, Observation | str] = {}
        self._items, self._with_caches, self._in_turns = items, with_caches, in_turns
        self._by_id = {item.id: item for item in items}
        self._at: Item | None = None
        self._seconds = 0.0

    @property
    def measuring(self) -> bool:
        """Whether a benchmark has begun and not ended."""
        return self._at is not None

    def limit(self, event: Event | None) -> float:
        """Seconds that the process may take for what comes after this, and the other one, where there is one."""
        longest = max([STARTING_SECONDS, *map(self._allowed, self._items)])
        if event is None:
            self._seconds, others = longest, STARTING_SECONDS
        elif event["event"] == "begin":
            self._seconds = self._allowed(self._by_id[event["id"]])
            others = max(STARTING_SECONDS, self._seconds)
        else:
            self._seconds, others = BETWEEN_SECONDS, longest
        return self._seconds + others * self._in_turns

    def _allowed(self, item: Item) -> float:
        return item.seconds + (item.cache_seconds if self._with_caches else 0.0)

    def take(self, event: Event) -> None:
        """Take an event into account."""
        if event["event"] == "begin":
            self._at = self._by_id[event["id"]]
        elif event["event"] == "end":
            self.found[self._by_id[event["id"]].name] = _outcome(event)
            self._at = None

    def errors(self) -> dict[str, str]:
        """List the errors that benchmarks ended with, by name."""
        return {name: error for name, outcome in self.found.items() if (error := _error(outcome))}

    def end(self, error: ChildError, log: Path) -> None:
        """Blame the benchmark that was being measured, or, where there was none, say that none of the rest began."""
        if isinstance(error, ChildTimeoutError):
            said = f"timed out after {self._seconds:g} s"
        else:
            said = f"its process {error}"
        if self._at is not None:
            self.found[self._at.name] = failed(said)
            return
        last = " ".join(last_lines(log, 1))
        for item in self._items:
            self.found.setdefault(item.name, failed(f"before it began, {said}{f': {last}' if last else ''}"))


def observe_in_turns(
    sides: Mapping[SideName, Epochs],
    items: Mapping[SideName, Sequence[Item]],
    names: Mapping[SideName, str],
    *,
    first: SideName,
    fresh_caches: bool,
) -> dict[SideName, dict[str, Observation | str]]:
    """Measure the same benchmarks on both sides, one running at a time, a sample of one and then one of the other.

    So both see the same disturbances. What did not end well on both sides is measured again on each by itself, where
    it is known whose fault that is, and where nothing is in the way that the other one holds, such as a port. That
    tells who is to blame and takes nothing back: the failure stays in what is found, `Observation.failed_in_turns`.

    Parameters
    ----------
    sides : mapping
    items : mapping
        The same benchmarks in the same order.
    names : mapping
        Which of the swapped names each side has.
    first : {"base", "head"}
        Whose turn is the first.
    fresh_caches : bool
        Whether the processes run ``setup_cache`` themselves.

    Returns
    -------
    dict
        By side and name.
    """
    passing: dict[SideName, dict[str, str]] = {side: {} for side in SIDES}
    found = {side: {} if fresh_caches else sides[side].fill_caches(items[side], names[side]) for side in SIDES}
    broken = {name for outcomes in found.values() for name in outcomes}
    waiting = {side: [item for item in items[side] if item.name not in broken] for side in SIDES}
    if waiting["base"]:
        accounts = _converse_in_turns(sides, waiting, names, first, fresh_caches)
        fine = set.intersection(*(set(account.found) - set(account.errors()) for account in accounts.values()))
        for side, account in accounts.items():
            found[side] |= {name: account.found[name] for name in fine}
            passing[side] = account.errors()
    for side in (first, *(side for side in SIDES if side != first)):
        left = [item for item in items[side] if item.name not in found[side]]
        if left:
            found[side] |= sides[side].observe(left, names[side], fresh_caches=fresh_caches)
    for side in SIDES:
        for name, failure in passing[side].items():
            found[side][name] = _with_failure(found[side][name], failure)
    return found


def _with_failure(outcome: Observation | str, failure: str) -> Observation | str:
    return outcome if isinstance(outcome, str) or outcome.error else replace(outcome, failed_in_turns=failure)


def _error(outcome: Observation | str) -> str:
    return "" if isinstance(outcome, str) else outcome.error


def _converse_in_turns(
    sides: Mapping[SideName, Epochs],
    items: Mapping[SideName, Sequence[Item]],
    names: Mapping[SideName, str],
    first: SideName,
    fresh_caches: bool,
) -> dict[SideName, Account]:
    """Run one process a side, which hand a baton to and fro."""
    accounts = {side: Account(items[side], fresh_caches, in_turns=True) for side in SIDES}
    batons = dict(zip(SIDES, _batons(), strict=True))
    with ExitStack() as stack:
        talks = []
        with ExitStack() as ours:
            for baton in batons.values():
                for descriptor in baton:
                    ours.callback(os.close, descriptor)
            for side in SIDES:
                request = sides[side].request(items[side], names[side], fresh_caches)
                request["baton"] = {"descriptors": batons[side], "first": side == first}
                talk = sides[side].workspace.conversation(
                    sides[side].side, names[side], request, accounts[side].limit, pass_fds=batons[side]
                )
                talks.append(stack.enter_context(talk))
        for place, event in listen(*talks):
            if isinstance(event, ChildError):  # of one that hangs nobody knows whether it waits for the other
                ended = SIDES if isinstance(event, ChildTimeoutError) else (SIDES[place],)
                for side in ended:
                    if accounts[side].measuring:
                        accounts[side].end(event, sides[side].workspace.epoch_log(names[side]))
                break
            accounts[SIDES[place]].take(event)
    return accounts


def _batons() -> tuple[tuple[int, int], tuple[int, int]]:
    """Make two pipes, crosswise: for each of two processes where it reads and where it writes."""
    (there, from_here), (here, from_there) = os.pipe(), os.pipe()
    return (here, from_here), (there, from_there)


def _folder(key: str) -> str:
    """Name of a cache's folder: of one length, and the same on both sides."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def failed(error: str) -> Observation:
    """Build the observation of a benchmark that gave no number."""
    return Observation(math.nan, error=error)


def _outcome(event: Event) -> Observation | str:
    if "skipped" in event:
        return str(event["skipped"]) or "skipped"
    if "error" in event:
        return failed(event["error"])
    seeds = event.get("seeds")
    by_seed = None if seeds is None else {int(seed): tuple(values) for seed, values in seeds.items()}
    return Observation(event["value"], event.get("cpu"), by_seed)
