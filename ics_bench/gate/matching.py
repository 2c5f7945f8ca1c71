"""Which benchmarks of the two sides are one and the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from ics_bench.core import UsageError
from ics_bench.core.metric import Better, Kind
from ics_bench.gate.series import Benchmark
from ics_bench.gate.verdict import Result


def match(base: Sequence[Benchmark], head: Sequence[Benchmark]) -> tuple[list[Benchmark], list[Result]]:
    """Pair benchmarks by name.

    Returns
    -------
    list of Benchmark
        Those that compare, as the head declares them.
    list of Result
        The others, each with its verdict.

    Raises
    ------
    UsageError
        If a side lists a name twice, or there is nothing on either side.
    """
    if not base and not head:
        raise UsageError("neither side has a benchmark to compare; check the filter")
    before, after = _by_name("base", base), _by_name("head", head)
    comparable, others = [], []
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one is None and other is not None:
            others.append(Result(other, "new", "the base does not have it"))
        elif other is None and one is not None:
            others.append(Result(one, "missing", "the head does not have it any more"))
        elif one is not None and other is not None:
            unusable = _unusable(one) or _unusable(other)
            different = differences(one, other)
            if unusable:
                others.append(Result(other, "error", unusable))
            elif different:
                others.append(_incomparable(other, different))
            else:
                comparable.append(other)
    return comparable, others


def _unusable(benchmark: Benchmark) -> str:
    """Say what is wrong with a declaration; empty where nothing is."""
    effect = benchmark.smallest_effect
    if effect is not None and not (effect >= 0 and math.isfinite(effect)):
        return f"declares {effect:g} as the smallest effect that matters; expected a finite number from 0 up"
    ratio = benchmark.smallest_ratio
    if ratio is not None and not (ratio > 1 and math.isfinite(ratio)):
        return f"declares {ratio:g} as the smallest ratio that matters; expected a finite number above 1"
    if effect is not None and ratio is not None:
        return "declares a smallest effect and a smallest ratio; expected one of them"
    for field, allowed in (("kind", get_args(Kind)), ("better", (None, *get_args(Better)))):
        value = getattr(benchmark, field)
        if value not in allowed:
            return f"declares {field} {value!r}; expected one of {', '.join(map(str, allowed))}"
    if benchmark.infinity_is_best and benchmark.undirected:
        return "declares that infinity is best, and no direction; expected better lower or higher"
    return ""


def _by_name(side: str, benchmarks: Sequence[Benchmark]) -> dict[str, Benchmark]:
    found: dict[str, Benchmark] = {}
    for benchmark in benchmarks:
        if benchmark.name in found:
            raise UsageError(f"{side} lists benchmark {benchmark.name!r} twice; give each a name of its own")
        found[benchmark.name] = benchmark
    return found


def differences(one: Benchmark, other: Benchmark) -> list[str]:
    """Say in what the declarations of one benchmark differ."""
    fields = ("kind", "unit", "better", "version", "smallest_effect", "smallest_ratio", "infinity_is_best")
    return [
        f"{field.replace('_', ' ')} {getattr(one, field)!r} on base, {getattr(other, field)!r} on head"
        for field in fields
        if getattr(one, field) != getattr(other, field)
    ]


def _incomparable(benchmark: Benchmark, different: Sequence[str]) -> Result:
    return Result(
        benchmark,
        "incomparable",
        f"{'; '.join(different)}: what it measures changed, so give it a new name or restore the declaration",
    )
