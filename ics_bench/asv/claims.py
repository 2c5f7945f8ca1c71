"""Benchmarks that follow claims over commits, a number each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypedDict

from ics_bench.asv.declaration import require_as_discovered
from ics_bench.asv.tracking import keep_apart
from ics_bench.claims import Claim, Evidence, case_of, tracked_arms, tracked_value
from ics_bench.claims.finding import MissingEvidenceError
from ics_bench.core import CaseRecord, Scalar
from ics_bench.execution.executors import Executor, parse_executor
from ics_bench.execution.plan import Task
from ics_bench.workloads import load_workload

SEEDS = 2
"""Fewest that every rule takes; an effect is followed by them, and nothing is judged."""


class Tracked(TypedDict):
    """What measuring a suite gave, by claim; plain data, for asv to pickle."""

    values: dict[str, float]
    failed: dict[str, str]


class ClaimSuite:
    """Follows claims: how the effect of each one's headline setting stands to its registered verdict.

    Each claim becomes ``track_<id>``, a benchmark of its own, so that its results stay comparable while
    others are added or changed. What is tracked is `ics_bench.claims.tracked_value`: finite, positive,
    lower is better. It comes from the headline setting, or from what the claim says is cheaper (`Claim.tracked`).
    A case that several claims read is measured once a commit, on two seeds, in as many processes as there are
    cores; what times something follows alone.

    Attributes
    ----------
    claims : sequence of Claim
        A suite without any is a base for others and benchmarks nothing.
    timeout : float
        Seconds for reading one value.
    setup_cache_timeout : float
        Seconds for measuring all cases.

    Raises
    ------
    UsageError
        When a claim names what does not exist.

    Examples
    --------
    >>> from ics_bench.claims import load_catalogue, select
    >>> class Ours(ClaimSuite):
    ...     claims = select(load_catalogue(), ["init-1"])
    """

    claims: ClassVar[Sequence[Claim]] = ()
    timeout: ClassVar[float] = 60
    setup_cache_timeout: ClassVar[float] = 1800

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Generate a benchmark a claim."""
        super().__init_subclass__(**kwargs)
        if not cls.claims:
            return
        own = set(vars(cls))
        for name in dir(cls):
            if hasattr(getattr(cls, name), "_claim"):
                setattr(cls, name, None)  # generated for the parent, which may follow other claims
        versions = {}
        for claim in cls.claims:
            name = benchmark_name(claim)
            if name not in own:
                versions[name] = version_of_claim(claim)
                setattr(cls, name, _tracker(claim, name, versions[name]))
        cls.setup_cache = _cache(cls, cls.claims, versions)  # type: ignore[attr-defined]


def benchmark_name(claim: Claim) -> str:
    """Name the benchmark of a claim, as Python can.

    Examples
    --------
    >>> from ics_bench.claims import load_catalogue
    >>> benchmark_name(load_catalogue()[0])[:6]
    'track_'
    """
    return "track_" + "".join(letter if letter.isalnum() else "_" for letter in claim.id)


def version_of_claim(claim: Claim) -> str:
    """Digest of everything that gives the number its meaning: the rule, what it reads, and the direction."""
    setting = claim.primary[0]
    declared = {
        "rule": [type(setting.rule).__name__, dataclasses.asdict(setting.rule)],  # type: ignore[call-overload]
        "arms": [[role, task.key, _recipe(task)] for role, task in _tasks_by_role(claim).items()],
        "seeds": SEEDS,
        "reversed": claim.registered == "refuted",
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]


def _recipe(task: Task) -> dict[str, Any]:
    return dict(load_workload(task.workload).recipe)


def _tasks_by_role(claim: Claim) -> dict[str, Task]:
    found = {}
    for role, arm in tracked_arms(claim).items():
        workload = load_workload(arm.workload)
        case = case_of(claim, arm, "quick")
        found[role] = Task(arm.workload, workload.version, case, tuple(range(SEEDS)), "cpu")
    return found


def tasks_for(claims: Sequence[Claim]) -> list[Task]:
    """List what following these claims takes, each case once."""
    tasks = {task.key: task for claim in claims for task in _tasks_by_role(claim).values()}
    return list(tasks.values())


def follow(claims: Sequence[Claim], executor: Executor) -> Tracked:
    """Measure what following the claims takes, and give each its number."""
    records = {record.key: record for record in executor(tasks_for(claims))}
    outcome: Tracked = {"values": {}, "failed": {}}
    for claim in claims:
        read = [records[task.key] for task in _tasks_by_role(claim).values()]
        lost = [record for record in read if record.status != "measured"]
        try:
            if lost:
                raise MissingEvidenceError(f"{lost[0].key} {lost[0].status}: {lost[0].reason}")
            outcome["values"][claim.id] = tracked_value(claim, _evidence(read), SEEDS)
        except MissingEvidenceError as missing:
            outcome["failed"][claim.id] = str(missing)
    return outcome


def _evidence(records: Sequence[CaseRecord]) -> Evidence:
    once = {record.key: record for record in records}
    return Evidence([m for record in once.values() for m in record.measurements])


def _tracker(claim: Claim, name: str, version: str) -> Callable[[ClaimSuite, Tracked], float]:
    def track(self: ClaimSuite, outcome: Tracked) -> float:
        del self
        if claim.id in outcome["failed"]:
            raise RuntimeError(outcome["failed"][claim.id])
        return outcome["values"][claim.id]

    function: Any = track
    function.__name__ = name
    function.unit = "1"
    function.version = version
    function.pretty_source = _explain(claim)
    function._claim = claim.id
    function.kind, function.better = "exact", "neutral"  # for the gate: followed, and judged by `ics-bench claims`
    return track


def _explain(claim: Claim) -> str:
    setting = claim.primary[0]
    side = "refuted: lower where it fails by more" if claim.registered == "refuted" else "lower where it holds by more"
    lines = [f"{claim.id}: {claim.statement}", f"registered as {claim.registered}; {side}"]
    lines.append(f"setting {setting.name!r} by rule {type(setting.rule).__name__}, seeds 0 to {SEEDS - 1}")
    if claim.tracked:
        lines.append(f"but with {', '.join(f'{key} {_in_words(value)}' for key, value in claim.tracked.items())}")
    return "\n".join([*lines, *dict.fromkeys(arm.command for arm in tracked_arms(claim).values())])


def _in_words(cheaper: Scalar | Mapping[str, Scalar]) -> str:
    if isinstance(cheaper, Mapping):
        return ", ".join(f"{new} for {old}" for old, new in cheaper.items())
    return str(cheaper)


def _cache(
    cls: type[ClaimSuite], claims: Sequence[Claim], versions: Mapping[str, str]
) -> Callable[[ClaimSuite], Tracked]:
    def setup_cache(self: ClaimSuite) -> Tracked:
        require_as_discovered(type(self), versions)
        return follow(claims, parse_executor("local"))

    keep_apart(cls, setup_cache)
    function: Any = setup_cache
    function.timeout = cls.setup_cache_timeout
    return setup_cache
