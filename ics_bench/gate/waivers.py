r"""Regressions that are known and accepted for a time, each with its reason, in a file under review.

::

    [[waiver]]
    benchmark = 'lr_ceiling\.LrCeiling\.track_.*'     # a regular expression for the whole name
    reason = "float64 moments are worth the time, see the pull request"
    expires = 2027-01-31                              # the last day on which it holds

An expired waiver accepts nothing any more and is removed or renewed: until then the comparison fails, with exit code 1
where a regression that it covered is there, else with 2. One that is renewed by another of the same pattern is but
pointed out, and so is one that matches no benchmark.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.core.text import why
from ics_bench.gate.verdict import Decision, Result, by_gravity

FIELDS = {"benchmark": str, "reason": str, "expires": date}
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Waiver:
    """Accepts the regressions of some benchmarks until a day.

    Parameters
    ----------
    benchmark : str
        Regular expression that matches the whole name.
    reason : str
    expires : date
        The last day on which it holds, in UTC.
    """

    benchmark: str
    reason: str
    expires: date

    def covers(self, name: str) -> bool:
        """Whether it speaks of a benchmark."""
        return re.fullmatch(self.benchmark, name) is not None

    def expired(self, today: date) -> bool:
        """Whether it holds no more."""
        return today > self.expires


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """Read a file of waivers.

    Raises
    ------
    UsageError
        If the file cannot be read or a waiver in it lacks something.
    """
    try:
        content = path.read_bytes()
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        raw = tomllib.loads(content.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"waivers {str(path)!r} cannot be read: {why(error)}; name a TOML file") from error
    found = raw.pop("waiver", [])
    if raw or not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UsageError(f"waivers {str(path)!r}: expected [[waiver]] tables and nothing else")
    return tuple(_waiver(entry, f"waiver {place} of {str(path)!r}") for place, entry in enumerate(found, 1))


def _waiver(raw: Mapping[str, Any], place: str) -> Waiver:
    if raw.keys() != FIELDS.keys():
        wrong = ", ".join(sorted(map(repr, raw.keys() ^ FIELDS.keys())))
        raise UsageError(f"{place}: expected {', '.join(FIELDS)} and nothing else; see {wrong}")
    for field, kind in FIELDS.items():
        value = raw[field]
        if not isinstance(value, kind) or isinstance(value, datetime) or (isinstance(value, str) and not value.strip()):
            example = "a date such as 2027-01-31" if kind is date else "a text"
            raise UsageError(f"{place}: {field} is {value!r:.80}; expected {example}")
    try:
        re.compile(raw["benchmark"])
    except re.error as error:
        pattern = f"benchmark {raw['benchmark']!r:.80}"
        raise UsageError(f"{place}: {pattern} is no regular expression: {error}; write . ( ) [ ] with \\") from error
    return Waiver(raw["benchmark"], raw["reason"], raw["expires"])


def accept(decision: Decision, waivers: Sequence[Waiver], today: date | None = None) -> Decision:
    """Mark the regressions that waivers accept, fail for expired waivers, and warn of those that match nothing.

    Parameters
    ----------
    decision : Decision
    waivers : sequence of Waiver
    today : date, optional
        In UTC, now by default.
    """
    day = today or datetime.now(UTC).date()
    results = [_accept(result, waivers, day) for result in decision.results]
    renewed = {waiver.benchmark for waiver in waivers if not waiver.expired(day)}
    warnings, failures = list(decision.warnings), list(decision.failures)
    for waiver in waivers:
        if waiver.expired(day):
            where = warnings if waiver.benchmark in renewed else failures
            where.append(f"waiver for {waiver.benchmark} expired on {waiver.expires}: remove or renew it")
        elif not any(waiver.covers(result.name) for result in results):
            shown = f"; there is, for example, {results[0].name}" if results else ""
            warnings.append(f"waiver for {waiver.benchmark} matches no benchmark that was compared{shown}")
    return replace(decision, results=by_gravity(results), warnings=tuple(warnings), failures=tuple(failures))


def _accept(result: Result, waivers: Sequence[Waiver], today: date) -> Result:
    if result.verdict != "regression":
        return result
    covering = [waiver for waiver in waivers if waiver.covers(result.name)]
    holding = [waiver for waiver in covering if not waiver.expired(today)]
    if holding:
        return replace(result, waiver=f"{holding[0].reason} (until {holding[0].expires})")
    if covering:
        last = max(covering, key=lambda waiver: waiver.expires)
        return replace(result, warnings=(*result.warnings, f"its waiver expired on {last.expires}: {last.reason}"))
    return result
