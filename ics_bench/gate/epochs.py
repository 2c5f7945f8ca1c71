"""Runs epochs of one side: a process each, and another one for what a crash or a hang left over."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ics_bench.gate.processes import ChildDiedError, ChildTimeoutError, Event, last_lines
from ics_bench.gate.series import Observation
from ics_bench.gate.sides import Side, Workspace
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
        found: dict[str, Observation | str] = {}
        if not fresh_caches and seeds is None:
            for item in items:
                if error := self._fill_cache(item, name):
                    found[item.name] = failed(error)
        waiting = [item for item in items if item.name not in found]
        while waiting:
            found |= self._process(waiting, name, fresh_caches, seeds)
            waiting = [item for item in waiting if item.name not in found]
        return found

    def _process(
        self, items: Sequence[Item], name: str, fresh_caches: bool, seeds: Sequence[int] | None
    ) -> dict[str, Observation | str]:
        by_id = {item.id: item for item in items}
        keys = {item.cache for item in items if item.cache is not None}
        request = {
            "mode": "run",
            "root": self.side.benchmarks(name),
            "items": [{"id": item.id, "seeds": seeds} for item in items],
            "caches": {key: str(self.side.caches(name) / _folder(key)) for key in keys},
            "own_caches": sorted(keys) if fresh_caches else [],
            "sampling": SAMPLING,
            "plugins": self.plugins,
            "memory_of_objects": any(item.of_objects for item in items),
        }
        found: dict[str, Observation | str] = {}
        at: Item | None = None

        def limit(event: Event | None) -> float:
            if event is None:
                return max([STARTING_SECONDS, *(item.seconds for item in items)])
            if event["event"] == "begin":
                item = by_id[event["id"]]
                return item.seconds + (item.cache_seconds if fresh_caches else 0.0)
            return BETWEEN_SECONDS

        try:
            with self.workspace.scratch() as folder:
                for event in self.workspace.converse(self.side, name, request, folder, limit):
                    if event["event"] == "begin":
                        at = by_id[event["id"]]
                    elif event["event"] == "end":
                        found[by_id[event["id"]].name] = _outcome(event)
                        at = None
        except ChildTimeoutError:
            seconds = at.seconds + (at.cache_seconds if fresh_caches else 0.0) if at else limit(None)
            error = f"timed out after {seconds:g} s"
        except ChildDiedError as died:
            error = f"its process {died}"
        else:
            return found
        if at is not None:
            return found | {at.name: failed(error)}
        said = " ".join(last_lines(self.workspace.log("epoch"), 1))
        left = [item for item in items if item.name not in found]
        return found | {item.name: failed(f"before it began, {error}{f': {said}' if said else ''}") for item in left}

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
            for _ in self.workspace.converse(self.side, name, request, folder, lambda event: limit):
                pass
        except ChildTimeoutError:
            return f"setup_cache timed out after {item.cache_seconds:g} s"
        except ChildDiedError as died:
            said = " ".join(last_lines(self.workspace.log("epoch"), 1))
            return f"setup_cache failed: its process {died}{f': {said}' if said else ''}"
        return ""


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
