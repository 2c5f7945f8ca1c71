"""The sides of a comparison on disk: checked out, built, their benchmarks listed, and removed at the end."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.core.text import why
from ics_bench.gate.configuration import Configuration, build_requirements, read_configuration
from ics_bench.gate.environments import BuildError, Requirements, build, make_requirements, variables_for
from ics_bench.gate.processes import (
    ChildError,
    Conversation,
    Event,
    conversation,
    interruptions_held,
    last_lines,
    listen,
)
from ics_bench.gate.repository import Commit, Repository
from ics_bench.results.files import replace_file

LINKS = ("a", "b")
"""Names that the sides swap from pair to pair."""

LISTING_SECONDS = 600

TAG = "CACHEDIR.TAG"
TAG_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# This folder belongs to ics-bench gate, which makes and removes what is in it.
"""
"""Marks a folder as the gate's own; the first line tells backup programs that it is a cache."""


@dataclass(frozen=True, eq=False)
class Side:
    """One commit, built.

    Parameters
    ----------
    commit : Commit
    configuration : Configuration
    requirements : Requirements
    folder : Path
        Holds the checkout in ``tree`` and the environment in ``env``.
    found_built : bool
        Whether an earlier run had built it.
    """

    commit: Commit
    configuration: Configuration
    requirements: Requirements
    folder: Path
    found_built: bool

    def command(self, name: str) -> list[str]:
        """Command that starts an epoch under one of the swapped names."""
        return [str(self._under(name) / "env/bin/python"), str(Path(__file__).with_name("epoch.py"))]

    def benchmarks(self, name: str) -> str:
        """Folder of the benchmarks under one of the swapped names."""
        return str(self._under(name) / "tree" / self.configuration.benchmarks)

    def caches(self, name: str) -> Path:
        """Folder of what ``setup_cache`` leaves, under one of the swapped names."""
        return self._under(name) / "caches"

    def variables(self, name: str) -> dict[str, str]:
        """Environment variables of an epoch; those that asv sets too, but for the one that names its results."""
        own = {
            "ASV": "true",
            "ASV_PROJECT": self.configuration.project,
            "ASV_COMMIT": self.commit.hash,
            "ASV_ENV_NAME": self.requirements.name,
            "ASV_ENV_DIR": str(self._under(name) / "env"),
            "ASV_ENV_TYPE": "virtualenv",
        }
        variables = variables_for(self._under(name), self.requirements)
        return variables | dict(self.requirements.run_variables) | own

    def _under(self, name: str) -> Path:
        return self.folder.parent / name


class Workspace:
    """The folder that sides are built in, held by this process alone.

    Use it as a context. What is worth keeping for the next run stays: environments with requirements,
    and builds by commit. Checkouts are removed, and those that a killed run left are removed first.

    Parameters
    ----------
    cache : Path
        A folder of an earlier gate, or one that is empty or not there.
    repository : Repository

    Raises
    ------
    UsageError
        If the folder holds what no gate left there, cannot be written, or is in use.
    """

    def __init__(self, cache: Path, repository: Repository) -> None:
        self.cache = cache.resolve()
        self.repository = repository
        self.run = self.cache / "run"
        self.sides: list[Side] = []
        self._made: dict[str, Requirements] = {}

    def __enter__(self) -> Workspace:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            self._claim()
            (self.cache / "builds").mkdir(exist_ok=True)
            self._lock = (self.cache / "lock").open("a")
        except OSError as error:
            raise UsageError(f"{str(self.cache)!r} cannot be written: {why(error)}; --cache names another") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UsageError(
                f"another gate runs in {str(self.cache)!r}, and two would disturb each other; wait for it to end"
            ) from None
        self._remove()
        self.run.mkdir()
        for name in ("logs", "work"):
            (self.run / name).mkdir()
        return self

    def _claim(self) -> None:
        """Mark the folder as ours; refuse one that holds what we did not make, since things in it are removed."""
        tag = self.cache / TAG
        if any(self.cache.iterdir()) and not (tag.is_file() and tag.read_bytes() == TAG_TEXT.encode()):
            raise UsageError(
                f"{str(self.cache)!r} holds something else than builds of the gate, which removes what it finds there; "
                f"name an empty or a new folder with --cache, or remove this one if it lost its {TAG}"
            )
        replace_file(tag, TAG_TEXT.encode())
        replace_file(self.cache / ".gitignore", b"*\n")

    def __exit__(self, *error: object) -> None:
        with interruptions_held():
            self._remove()
            self._lock.close()

    def _remove(self) -> None:
        for tree in self.run.glob("side?/tree"):
            self.repository.remove_work_tree(tree)
        shutil.rmtree(self.run, ignore_errors=True)

    def log(self, name: str) -> Path:
        """File that takes the output of a child."""
        return self.run / "logs" / f"{name}.log"

    def add(self, commit: Commit, path: str, specification: str) -> Side:
        """Check a commit out and build it.

        Parameters
        ----------
        path : str
            Its ``asv.conf.json``.
        specification : str
            asv's for the environment, or empty for what the configuration says.

        Raises
        ------
        BuildError
        UsageError
            If the commit has no benchmarks or cannot be checked out.
        """
        configuration = read_configuration(self.repository, commit, path)
        folder = self.run / f"side{len(self.sides)}"
        folder.mkdir()
        (folder / "caches").mkdir()
        self.repository.add_work_tree(folder / "tree", commit)
        log = self.log("build")
        requirements = self._requirements(folder / "tree", configuration, specification, log)
        found = build(commit, configuration, requirements, folder, self.cache / "builds", log)
        side = Side(commit, configuration, requirements, folder, found)
        self.sides.append(side)
        return side

    def _requirements(self, tree: Path, configuration: Configuration, specification: str, log: Path) -> Requirements:
        needed = json.dumps(build_requirements(tree / configuration.build_folder / "pyproject.toml"))
        key = json.dumps([configuration.content, specification, needed])
        if key not in self._made:
            # asv installs what building needs, too, and does not notice when that changes.
            cache = self.cache / "requirements" / hashlib.sha256(needed.encode()).hexdigest()[:8]
            self._made[key] = make_requirements(tree, configuration, cache, specification, log)
        return self._made[key]

    def name(self, side: Side, name: str) -> None:
        """Give a side one of the names."""
        fresh = self.run / f"{name}.new"
        fresh.symlink_to(side.folder.name)
        fresh.replace(self.run / name)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Give an empty folder for a process to run in, under one of the swapped names."""
        folder = self.run / "work" / name
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def listing(self, side: Side) -> list[Event]:
        """List the benchmarks of a side, with what each declares, and whether asv_runner has plug-ins there.

        Raises
        ------
        BuildError
            If they cannot be imported.
        """
        name = LINKS[0]
        self.name(side, name)
        request = {"mode": "discover", "root": side.benchmarks(name)}
        events: list[Event] = []
        try:
            with self.conversation(side, name, request, lambda event: LISTING_SECONDS) as talk:
                for event in hear_out(talk):
                    if event["event"] == "lacking":
                        raise BuildError(
                            f"its environment has no {event['what']}, which finds and runs benchmarks; "
                            "add it to matrix.req in the configuration, or install it there",
                            (),
                        )
                    events.append(event)
        except ChildError as error:
            how = str(error) or f"took longer than {LISTING_SECONDS} s"
            raise BuildError(
                f"its benchmarks cannot be listed: the process {how}", last_lines(self.epoch_log(name))
            ) from error
        return events

    def epoch_log(self, name: str) -> Path:
        """File that takes the output of the epoch under one of the swapped names."""
        return self.log(f"epoch-{name}")

    @contextmanager
    def conversation(
        self,
        side: Side,
        name: str,
        request: Event,
        limit: Callable[[Event | None], float],
        folder: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Iterator[Conversation]:
        """Run one process of a side, in ``folder`` or an empty one."""
        with ExitStack() as stack:
            where = folder or stack.enter_context(self.scratch(name))
            yield stack.enter_context(
                conversation(
                    side.command(name), where, side.variables(name), self.epoch_log(name), request, limit, pass_fds
                )
            )


def hear_out(talk: Conversation) -> Iterator[Event]:
    """Yield the events of one child.

    Raises
    ------
    ChildTimeoutError, ChildDiedError
    """
    for _, event in listen(talk):
        if isinstance(event, ChildError):
            raise event
        yield event
