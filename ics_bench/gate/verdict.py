"""What the gate says: a verdict a benchmark with what it rests on, and one exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from ics_bench.core.text import count
from ics_bench.gate.evidence import Evidence
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark
from ics_bench.stats import Interval

Verdict = Literal[
    "regression",
    "improvement",
    "no change",
    "inconclusive",
    "error",
    "missing",
    "incomparable",
    "new",
    "not judged",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SIGNS: Mapping[Verdict, str] = {
    "regression": "✗",
    "improvement": "▲",
    "no change": "✓",
    "inconclusive": "?",
    "error": "!",
    "missing": "!",
    "incomparable": "≠",
    "new": "+",
    "not judged": "–",
}
"""Verdicts are told apart without colour."""

PLURALS = {"regression": "regressions", "improvement": "improvements", "error": "errors"}

COULD_NOT: frozenset[Verdict] = frozenset(("error", "missing", "incomparable"))

EXIT_CODES = {
    0: "no regression",
    1: "a regression, whatever else happened",
    2: "could not: bad usage, a failed build, a benchmark that raised, is missing or not comparable, nothing to judge, "
    "an expired waiver",
    3: "inconclusive: a benchmark could not be bounded, or the budget ended",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One quantity of a benchmark on both sides.

    Parameters
    ----------
    quantity : str
        ``"wall time"``, ``"processor time"``, or the benchmark's own value.
    n : int
        Pairs, or seeds, that it rests on.
    relative : bool
        Whether the change is a share of the base; else it is in the benchmark's unit.
    base, head : float
        Medians.
    change : float
        Head against base: positive where head is larger. NaN where there is none.
    interval : Interval
        Two-sided 95 % interval of the change.
    bound : float
        Upper 95 % bound on the change for the worse, valid over all looks; infinite where there is none.
    p, p_better : float, optional
        Of the change for the worse, and for the better, beyond the margin, corrected for looks and for the family.
    """

    quantity: str
    n: int
    relative: bool
    base: float
    head: float
    change: float
    interval: Interval
    bound: float
    p: float | None = None
    p_better: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What was found about one benchmark.

    Parameters
    ----------
    benchmark : Benchmark
    verdict : Verdict
    reason : str
        One sentence.
    readings : tuple of Reading
        What decided first.
    warnings : tuple of str
    waiver : str
        Why a regression is accepted; empty where it is not.
    """

    benchmark: Benchmark
    verdict: Verdict
    reason: str
    readings: tuple[Reading, ...] = ()
    warnings: tuple[str, ...] = ()
    waiver: str = ""

    @property
    def name(self) -> str:
        """Name of the benchmark."""
        return self.benchmark.name

    @property
    def accepted(self) -> bool:
        """Whether it is a regression that a waiver accepts."""
        return self.verdict == "regression" and bool(self.waiver)


@dataclass(frozen=True, slots=True)
class Decision:
    """Every verdict of one comparison.

    Parameters
    ----------
    base, head : str
        What was compared, such as two commits.
    results : tuple of Result
        The gravest first.
    rule : Rule
    warnings : tuple of str
        Of the comparison as a whole: equal builds, a busy machine, a dirty tree.
    facts : mapping of str to str
        More about the comparison for the reader, such as its duration.
    failures : tuple of str
        What keeps it from passing beside the results: a side that cannot be built, a waiver that expired.
    said : tuple of str
        Last lines of the build that failed.
    evidence : Evidence, optional
        What it can be checked again with, where it was measured.
    """

    base: str
    head: str
    results: tuple[Result, ...]
    rule: Rule = field(default_factory=Rule)
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    evidence: Evidence | None = None

    @property
    def exit_code(self) -> int:
        """1 for a regression that nobody accepted, else 2, 3 and 0, as in `EXIT_CODES`."""
        verdicts = {result.verdict for result in self.results if not result.accepted}
        if "regression" in verdicts:
            return 1
        judged = any(result.verdict not in ("new", "not judged") for result in self.results)
        if self.failures or verdicts & COULD_NOT or not judged:
            return 2
        return 3 if "inconclusive" in verdicts else 0

    @property
    def headline(self) -> str:
        """The whole in a few words."""
        counts = [(verdict, sum(result.verdict == verdict for result in self.results)) for verdict in VERDICTS]
        told = ", ".join(count(number, verdict, PLURALS.get(verdict, verdict)) for verdict, number in counts if number)
        accepted = sum(result.accepted for result in self.results)
        return f"{told or 'no benchmarks'}{f' ({accepted} accepted)' if accepted else ''}"


def by_gravity(results: list[Result]) -> tuple[Result, ...]:
    """Sort results: regressions first, then what could not be decided; accepted ones after the others."""
    gravity: tuple[Verdict, ...] = (
        "regression", "error", "missing", "incomparable", "inconclusive", "improvement", "new", "not judged",
        "no change",
    )  # fmt: skip
    return tuple(sorted(results, key=lambda result: (gravity.index(result.verdict), result.accepted, result.name)))
