"""Compares two stored results, as far as they allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ics_bench.core import UsageError
from ics_bench.core.text import count
from ics_bench.gate.conclude import PValues, conclude_values
from ics_bench.gate.convergence import Finding, judge_values
from ics_bench.gate.matching import match
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Pair
from ics_bench.gate.stored.result import Entry, Stored
from ics_bench.gate.stored.unpaired import judge_stored
from ics_bench.gate.verdict import Decision, Result, by_gravity
from ics_bench.stats import holm

VALUED = ("exact", "seeded")


def compare(base: Stored, head: Stored, rule: Rule | None = None) -> Decision:
    """Decide what changed from one stored result to another.

    Convergence metrics are judged as the gate judges them: exactly, then paired by seed. Timings were not
    interleaved, and are held against a wider margin, see `ics_bench.gate.stored.unpaired`.

    Parameters
    ----------
    base, head : Stored
    rule : Rule, optional

    Raises
    ------
    UsageError
        If they have no benchmark in common, or one lists a name twice.
    """
    rule = rule or Rule()
    comparable, results = match([e.benchmark for e in base.entries], [e.benchmark for e in head.entries])
    if not comparable and not any(result.verdict == "incomparable" for result in results):
        remedy = "name two results of one suite" if base.source == head.source else OF_ONE_TOOL
        raise UsageError(
            f"{base.label!r} of {base.source} and {head.label!r} of {head.source} have no benchmark in common; {remedy}"
        )
    before, after = ({entry.benchmark.name: entry for entry in side.entries} for side in (base, head))
    different = differences(base, head)
    warnings = [*base.warnings, *head.warnings]
    if base.commit and base.commit == head.commit:
        warnings.append(f"both are of commit {base.commit[:12]}")
    if base.source != head.source:
        warnings.append(f"{base.source} and {head.source} tell different things about the machine: see that it is one")
    unknown = sum(benchmark.better is None for benchmark in comparable)
    if unknown:
        warnings.append(f"which way is better is unknown of {count(unknown, 'benchmark')}: say --better [REGEX=]lower")
    if different:
        shown = "; ".join(different[:SHOWN]) + (f"; and {len(different) - SHOWN} more" if different[SHOWN:] else "")
        reason = f"{shown}: measure both on one machine with the same versions, as ics-bench gate does"
        results += [Result(benchmark, "incomparable", reason) for benchmark in comparable]
    else:
        findings = {b.name: _find(b, before[b.name], after[b.name], rule) for b in comparable}
        results += _conclude(comparable, findings, rule)
    return Decision(base.name, head.name, by_gravity(results), rule, tuple(warnings))


OF_ONE_TOOL = (
    "name two results of one tool: each names and stores benchmarks its own way, and where a run keeps a metric's "
    "values seed by seed, asv keeps one number, turned so that lower is better"
)

SHOWN = 4
"""Differences of two machines that are named."""


def differences(base: Stored, head: Stored) -> list[str]:
    """Say in what the machines differ; of two tools, only what both record is held against them."""
    names = [*base.environment, *(name for name in head.environment if name not in base.environment)]
    if base.source != head.source:
        names = [name for name in names if name in base.environment and name in head.environment]
    return [
        f"{name} {base.environment.get(name, 'none')} on base, {head.environment.get(name, 'none')} on head"
        for name in names
        if base.environment.get(name) != head.environment.get(name)
    ]


def _find(benchmark: Benchmark, base: Entry, head: Entry, rule: Rule) -> Finding:
    if benchmark.kind in VALUED:
        return judge_values(benchmark, [Pair(base.observation, head.observation)], rule)
    found = judge_stored(base, head, rule)
    if benchmark.undirected and found.verdict != "error":
        return replace(found, verdict="not judged", reason=benchmark.undirected)
    return found


def _conclude(benchmarks: list[Benchmark], findings: Mapping[str, Finding], rule: Rule) -> list[Result]:
    """Correct for the family, and turn findings into results."""
    judged = [b for b in benchmarks if findings[b.name].verdict is None]
    worse = holm([findings[b.name].p for b in judged])
    better = holm([findings[b.name].p_better for b in judged])
    p_values: dict[str, PValues] = {b.name: (p, q) for b, p, q in zip(judged, worse, better, strict=True)}
    return [conclude_values(b, findings[b.name], p_values.get(b.name, (None, None)), rule) for b in benchmarks]
