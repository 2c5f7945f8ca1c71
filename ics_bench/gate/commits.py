"""Compares commits: checks them out, builds them, measures them now and decides."""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.core.text import count, duration
from ics_bench.gate.configuration import locate, require_asv
from ics_bench.gate.decision import decide
from ics_bench.gate.environments import BuildError
from ics_bench.gate.evidence import Evidence, Keeping, describe_machine
from ics_bench.gate.live import Listener
from ics_bench.gate.repository import Commit, Repository
from ics_bench.gate.rule import Rule
from ics_bench.gate.session import Lists, Ready, get_ready
from ics_bench.gate.sides import Side, Workspace
from ics_bench.gate.verdict import Decision
from ics_bench.kernels.machine import Load

CACHE = Path(".asv/gate")
"""Folder in the root of the repository where builds are kept."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """How commits are to be compared.

    Parameters
    ----------
    only : str, optional
        Pattern of the benchmarks that are wanted.
    minutes : float
        How long measuring may take; building is not counted.
    configuration : str, optional
        Path of the ``asv.conf.json``.
    environment : str
        asv's specification of one; empty for what the configuration says.
    cache : Path, optional
        Folder that builds are kept in.
    seed : int, optional
        Of the random order of sides and benchmarks; drawn where it is not given.
    """

    only: str | None = None
    minutes: float = 30.0
    configuration: str | None = None
    environment: str = ""
    cache: Path | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.minutes < float("inf"):
            raise UsageError(f"--budget {self.minutes:g}: expected a positive number of minutes")


@dataclass(frozen=True, slots=True)
class State:
    """What became of one side.

    Parameters
    ----------
    role : str
        What it is compared as.
    commit : Commit
    state : str
    """

    role: str
    commit: Commit
    state: str


class SideError(UsageError):
    """A side cannot be built or has no benchmarks.

    Parameters
    ----------
    message : str
    states : sequence of State
        What became of each side so far.
    said : sequence of str
        Last lines of what failed.
    """

    def __init__(self, message: str, states: Sequence[State], said: Sequence[str]) -> None:
        super().__init__(message)
        self.states, self.said = tuple(states), tuple(said)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides that are built, in the order in which they were named.

    Parameters
    ----------
    workspace : Workspace
    sides : tuple of Side
    states : tuple of State
    lists : Lists
    warnings : tuple of str
        Of the work tree.
    """

    workspace: Workspace
    sides: tuple[Side, ...]
    states: tuple[State, ...]
    lists: Lists
    warnings: tuple[str, ...]

    def ready(self, base: Side, head: Side, request: Request, deadline: float, listener: Listener) -> Ready:
        """Look at all that two sides have.

        Raises
        ------
        SideError
            If the benchmarks of a side cannot be listed.
        """
        for side, state in zip(self.sides, self.states, strict=True):
            if side in (base, head):
                with _blamed(state, self.states):
                    self.lists.items(side)
        return get_ready(self.lists, base, head, request.only, deadline, random.Random(request.seed), listener)


@contextmanager
def built(roles: Sequence[tuple[str, str]], request: Request, say: Say = lambda text: None) -> Iterator[Comparison]:
    """Check commits out and build them; all but the builds is removed at the end.

    Parameters
    ----------
    roles : sequence of (str, str)
        What each commit is compared as, and its name.
    request : Request
    say : callable
        Hears of what is being done.

    Raises
    ------
    UsageError
        If a commit does not exist, has no benchmarks or cannot be built, or there is no git or no asv.
    """
    repository = Repository.around(Path.cwd())
    require_asv()
    commits = [repository.resolve(name) for _, name in roles]
    path = locate(repository, commits[-1], Path.cwd(), request.configuration)
    cache = request.cache or repository.root / CACHE
    states: list[State] = []
    with Workspace(cache, repository) as workspace:
        for (role, _), commit in zip(roles, commits, strict=True):
            say(f"building {role} {commit}")
            began = time.monotonic()
            with _blamed(State(role, commit, ""), states):
                side = workspace.add(commit, path, request.environment)
            took = duration(time.monotonic() - began)
            how = "found built, installed" if side.found_built else "built"
            states.append(State(role, commit, f"{how} in {took}: {commit.subject}"))
        sides, lists = tuple(workspace.sides), Lists(workspace)
        yield Comparison(workspace, sides, tuple(states), lists, tuple(_uncommitted(repository, commits)))


@contextmanager
def _blamed(state: State, before: Sequence[State]) -> Iterator[None]:
    """Say of a build that failed which side it was."""
    try:
        yield
    except BuildError as error:
        states = [*(known for known in before if known.role != state.role), replace(state, state=error.what)]
        raise SideError(f"{state.role} {state.commit} cannot be measured: {error.what}", states, error.said) from error


def _uncommitted(repository: Repository, commits: Sequence[Commit]) -> list[str]:
    at = repository.resolve("HEAD").hash
    changes = repository.uncommitted()
    if not changes or all(commit.hash != at for commit in commits):
        return []
    return [f"the work tree has {changes} in no commit; what is measured is the commit without them"]


def gate(
    base: str,
    head: str,
    request: Request,
    *,
    also_since: str | None = None,
    rule: Rule | None = None,
    say: Say = lambda text: None,
    listener: Listener = lambda done, asked, benchmarks: None,
) -> list[Decision]:
    """Decide whether head is worse than base, and than an older commit.

    Each of the two is a comparison of its own, with an error rate of its own: together they raise a false alarm up to
    twice as often as one of them. The first has half of the time, the second what the first left.

    Parameters
    ----------
    base, head : str
        Names of commits.
    request : Request
    also_since : str, optional
        An older commit, such as the tag of the last release, that head is held against too: changes below the
        margin add up over commits.
    rule : Rule, optional
    say, listener : callable
        Hear of what is being done.

    Returns
    -------
    list of Decision
        One for each base.

    Raises
    ------
    UsageError
        If nothing can be measured.
    """
    seed = secrets.randbelow(1 << 32) if request.seed is None else request.seed
    request = replace(request, seed=seed)
    older = [] if also_since is None else [("since", also_since)]
    with built([("base", base), *older, ("head", head)], request, say) as comparison:
        *bases, newest = comparison.sides
        machine, decisions = describe_machine(), []
        end = time.monotonic() + request.minutes * 60
        for done, (side, state) in enumerate(zip(bases, comparison.states, strict=False)):
            say(f"measuring {newest.commit} against {side.commit}")
            began = time.monotonic()
            deadline = began + (end - began) / (len(bases) - done)
            with Load(with_children=True) as load:
                ready = comparison.ready(side, newest, request, deadline, listener)
                measure = Keeping(ready.measure)
                warnings = [*comparison.warnings, *_left_out(newest), *_equality(side, newest), *ready.warnings]
                names = (str(side.commit), str(newest.commit))
                decision = decide(ready.base, ready.head, measure, rule, names=names, warnings=warnings)
            pairs, took = count(ready.measure.pairs_run, "pair"), duration(time.monotonic() - began)
            facts = {"base": state.state, "head": comparison.states[-1].state, "measured": f"{pairs} in {took}"}
            seen = (*decision.warnings, *ready.measure.warnings.values(), *load.others_warnings())
            evidence = Evidence(seed, measure.pairs, machine)
            decisions.append(replace(decision, facts={**decision.facts, **facts}, warnings=seen, evidence=evidence))
    return decisions


def _left_out(head: Side) -> list[str]:
    """Warn of the environments of the matrix that are not measured; head's stand for both sides'."""
    others = head.requirements.left_out
    if not others:
        return []
    return [
        f"measured in the first environment of asv's matrix alone, {head.requirements.name}; "
        f"left out: {', '.join(others)}; --env picks another"
    ]


def _equality(base: Side, head: Side) -> list[str]:
    if base.commit.hash == head.commit.hash:
        return ["base and head are the same commit: any difference is noise"]
    if contents(base) == contents(head):
        return ["both sides install the same files and have the same benchmarks: any difference is noise"]
    return []


def contents(side: Side) -> str:
    """Digest of what a side installs and of its benchmarks."""
    found = hashlib.sha256()
    roots = (*side.folder.glob("env/lib/python*/site-packages"), side.folder / "tree" / side.configuration.benchmarks)
    for root in roots:
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root).as_posix()
            if path.is_file() and path.suffix != ".pyc" and ".dist-info/" not in inside:
                found.update(inside.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
