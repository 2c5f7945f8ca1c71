"""The benchmarks of one side, as its epochs list them and as the decision sees them."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from ics_bench.core import UsageError
from ics_bench.core.metric import Better, Kind
from ics_bench.gate.processes import Event
from ics_bench.gate.series import Benchmark

Way = Literal["timed", "alone", "repeated", "once"]
"""How a benchmark is measured: with others in every epoch; in a process of its own in every epoch, as peaks
of memory must be; the same with its ``setup_cache`` run there; once and for all, being deterministic."""

UNITS = {"seconds": "s", "unit": "1"}
"""asv's names that have a symbol."""


@dataclass(frozen=True, slots=True)
class Item:
    """One benchmark of one side, parameters included.

    Parameters
    ----------
    benchmark : Benchmark
        For the decision.
    id : str
        asv's: the name, with the place of the parameters.
    way : Way
    seconds : float
        How long one measurement may take.
    cache : str, optional
        Key of the ``setup_cache`` that it reads.
    cache_seconds : float
        How long that may take.
    of_objects : bool
        Whether it measures the memory of an object, for which asv_runner needs pympler.
    reseeds : bool
        Whether it can be measured on seeds of our choice.
    settled : bool
        Whether its kind is known; else whether it is deterministic is to be found out.
    case : str
        Its parameters in words; empty where it has none.
    """

    benchmark: Benchmark
    id: str
    way: Way
    seconds: float
    cache: str | None = None
    cache_seconds: float = 0.0
    of_objects: bool = False
    reseeds: bool = False
    settled: bool = True
    case: str = ""

    @property
    def name(self) -> str:
        """Name of the benchmark."""
        return self.benchmark.name

    def as_varying(self) -> Item:
        """Return this benchmark, found to vary, as one that is repeated."""
        timing = Benchmark(self.name, "timing", self.benchmark.unit, self.benchmark.better, self.benchmark.version)
        return Item(
            timing, self.id, "repeated" if self.cache else "timed", self.seconds, self.cache, self.cache_seconds
        )


def items_of(events: Iterable[Event], default_seconds: float) -> list[Item]:
    """Turn what an epoch lists into benchmarks, one for each combination of parameters.

    Parameters
    ----------
    events : iterable of dict
    default_seconds : float
        How long a benchmark may take that does not say so.

    Raises
    ------
    UsageError
        If a benchmark declares what no benchmark can; it names the benchmark, the value and what it can be.
    """
    return [item for event in events for item in _expand(event, default_seconds)]


def _expand(event: Event, default_seconds: float) -> list[Item]:
    declared, seconds = event["declared"], _seconds(event, "timeout") or default_seconds
    kind, way = _kind(event, declared.get("kind"))
    shared: dict[str, Any] = {
        "way": way,
        "seconds": seconds,
        "cache": event["cache"],
        "cache_seconds": (_seconds(event, "cache_timeout") or seconds) if event["cache"] else 0.0,
        "of_objects": event["type"] == "memory",
        "reseeds": event["reseeds"],
        "settled": event["type"] in DIRECTED or "kind" in declared,
    }
    meaning: dict[str, Any] = {
        "kind": kind,
        "unit": str(declared["native_unit"]) if event["seeded"] and "native_unit" in declared else _unit(event),
        "better": _better(event, declared.get("better")),
        "version": event["version"],
        "smallest_effect": _number(event, "smallest_effect", lambda value: value >= 0, "a number from 0 up"),
        "smallest_ratio": _number(event, "smallest_ratio", lambda value: value > 1, "a number above 1"),
        "infinity_is_best": _flag(event, "infinity_is_best"),
    }
    if not event["params"]:
        return [Item(Benchmark(event["name"], **meaning), event["name"], **shared)]
    cases = [", ".join(values) for values in itertools.product(*event["params"])]
    return [
        Item(Benchmark(f"{event['name']}({case})", **meaning), f"{event['name']}-{place}", case=case, **shared)
        for place, case in enumerate(cases)
    ]


DIRECTED = ("time", "memory", "peakmemory")
"""Types of benchmark of which asv says that lower is better."""


def _kind(event: Event, declared: object) -> tuple[Kind, Way]:
    if event["type"] == "time":
        return "timing", "timed"
    if event["type"] == "memory":
        return "memory", "timed"
    if event["type"] == "peakmemory":
        return "memory", "alone"
    if declared is not None and declared not in get_args(Kind):
        raise _refused(event, "kind", declared, f"it can be {', '.join(get_args(Kind))}")
    if declared in ("timing", "memory"):
        return declared, "repeated" if event["cache"] else "timed"
    return ("seeded" if declared == "seeded" else "exact"), "once"


def _unit(event: Event) -> str:
    unit = str(event["unit"])
    return UNITS.get(unit, unit)


def _better(event: Event, declared: object) -> Better | None:
    if declared is None:
        return "lower" if event["type"] in DIRECTED else None
    if declared not in get_args(Better):
        raise _refused(event, "better", declared, f"it can be {', '.join(get_args(Better))}")
    return cast(Better, declared)


def _number(event: Event, name: str, fits: Callable[[float], bool], expected: str) -> float | None:
    declared = event["declared"].get(name)
    if declared is None:
        return None
    if isinstance(declared, bool) or not isinstance(declared, int | float) or not fits(declared):
        raise _refused(event, name, declared, f"it is {expected}")
    return float(declared)


def _flag(event: Event, name: str) -> bool:
    declared = event["declared"].get(name)
    if declared is not None and not isinstance(declared, bool):
        raise _refused(event, name, declared, "it is True or False")
    return bool(declared)


def _seconds(event: Event, name: str) -> float:
    """Read a time limit; 0 where there is none."""
    value = event[name] or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        asvs = "timeout" if name == "timeout" else "setup_cache.timeout"
        raise _refused(event, asvs, value, "it is a number of seconds")
    return float(value)


def _refused(event: Event, name: str, value: object, expected: str) -> UsageError:
    shown = value["shown"] if isinstance(value, dict) else repr(value)
    return UsageError(f"{event['name']} declares {name} = {shown}; {expected}")


def choose(items: Sequence[Sequence[Item]], only: str | None) -> list[list[Item]]:
    """Keep the benchmarks of each side whose names match a pattern.

    Raises
    ------
    UsageError
        If the pattern is none, or nothing on any side matches it.
    """
    if only is None:
        return [list(side) for side in items]
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise UsageError(f"--only {only!r} is no regular expression: {error}") from error
    chosen = [[item for item in side if pattern.search(item.name)] for side in items]
    if not any(chosen):
        names = sorted({item.name for side in items for item in side})
        near = difflib.get_close_matches(only, names, n=3, cutoff=0.3)
        raise UsageError(
            f"--only {only!r} matches no benchmark; there are, for example, {', '.join(near or names[:3])}"
        )
    return chosen
