"""Runs settings into a folder: plans, measures, appends, resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from ics_bench.core import CaseRecord, UsageError
from ics_bench.core.environment import differences, fingerprint
from ics_bench.core.text import why
from ics_bench.execution.executors import Executor
from ics_bench.execution.plan import Settings, Task, declarations_of, resolve, tasks_of
from ics_bench.results import store
from ics_bench.results.run import Run, plan_key

Listener = Callable[[CaseRecord], None]


def default_folder(profile: str) -> Path:
    """Name a new folder under ``runs/`` after the time and the profile."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{profile}"
    folder, copies = Path("runs") / name, 1
    while folder.exists():
        copies += 1
        folder = Path("runs") / f"{name}-{copies}"
    return folder


@dataclass
class Session:
    """A run folder that this process holds, with the tasks that it still lacks.

    Use it as a context: the folder is locked until the end, so that nobody else appends to it.

    Parameters
    ----------
    folder : Path
    header : dict
        Content of ``run.json``.
    tasks : list of Task
        What is left to measure.
    set_aside : int
        Corrupt records that were put aside, whose cases are measured again.
    """

    folder: Path
    header: dict[str, Any]
    tasks: list[Task]
    writer: store.Writer
    set_aside: int = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.__exit__(kind, error, trace)

    @property
    def planned(self) -> int:
        """Number of cases of the whole run."""
        return len(self.header["plan"])

    def kept(self) -> int:
        """Count the cases that are done on disk, measured or skipped."""
        return sum(record.status != "failed" for record in store.read_records(self.folder))

    def measure(self, executor: Executor, listener: Listener = lambda record: None) -> Run:
        """Measure what is left; each record is on disk before the listener hears of it.

        Raises
        ------
        UsageError
            If the disk does not take a record; earlier ones are kept.
        """
        entry = {"started": _now(), "executor": executor.name, "cases": len(self.tasks)}
        if self.tasks:
            self._write_header(sessions=[*self.header.get("sessions", []), {**entry, **_state(fingerprint())}])
        with closing(executor(self.tasks)) as records:
            for record in records:
                self.writer.append(record)
                listener(record)
        run = Run.open(self.folder)
        if run.complete and self.header.get("finished") is None:
            self._write_header(finished=_now())
            run.header = self.header
        return run

    def _write_header(self, **changes: Any) -> None:
        self.header = {**self.header, **changes}
        try:
            store.write_header(self.folder, self.header)
        except OSError as error:
            path = str(self.folder / store.RUN_FILE)
            raise UsageError(f"{path!r} cannot be written: {why(error)}; make room or make it writable") from error


def start(settings: Settings, folder: Path) -> Session:
    """Check settings and make the folder of a new run.

    Raises
    ------
    UsageError
        If the settings are wrong or the folder cannot be made; nothing is written then.
    """
    settings = resolve(settings)
    tasks = tasks_of(settings)
    key, times = Counter(task.key for task in tasks).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{times} cases have one identity: {key}")
    header = {
        "schema": store.SCHEMA,
        "settings": settings.as_json(),
        "environment": fingerprint(),
        "created": _now(),
        "finished": None,
        "sessions": [],
        "workloads": declarations_of(settings, tasks),
        "plan": [task.key for task in tasks],
    }
    store.create_folder(folder, header)
    return Session(folder, header, tasks, store.Writer(folder).__enter__())


def resume(folder: Path, asked: dict[str, Any] | None = None) -> Session:
    """Take a run up again, if that may be done here.

    Parameters
    ----------
    folder : Path
    asked : dict, optional
        Fields of `Settings` that the user gave again; each must mean what was recorded.

    Raises
    ------
    UsageError
        If there is no run, another process holds it, or settings, versions, declarations or hardware
        differ from the recorded ones.
    """
    store.read_header(folder)  # before the lock: what holds no run is left as it is
    writer = store.Writer(folder).__enter__()
    try:
        header = store.read_header(folder)
        settings = Settings.from_json(header["settings"])
        _compare_settings(folder, settings, asked or {})
        changed = differences(header["environment"], fingerprint())
        if changed:
            raise UsageError(f"{str(folder)!r} cannot be resumed here: {'; '.join(changed)}; start a new run")
        settings = resolve(settings)
        tasks = tasks_of(settings)
        if header["workloads"] != declarations_of(settings, tasks) or header["plan"] != [task.key for task in tasks]:
            raise UsageError(f"{str(folder)!r} was started with other declarations of its workloads; start a new run")
        aside = store.set_aside(folder)
        done = {plan_key(record) for record in store.read_records(folder) if record.status != "failed"}
        return Session(folder, header, [task for task in tasks if task.key not in done], writer, aside)
    except BaseException:
        writer.__exit__(None, None, None)
        raise


def _compare_settings(folder: Path, recorded: Settings, asked: dict[str, Any]) -> None:
    merged = resolve(Settings(**{**vars(recorded), **asked})).as_json()
    for name, value in recorded.as_json().items():
        if merged[name] != value:
            raise UsageError(
                f"{str(folder)!r} was started with {name}={value!r}, not {merged[name]!r}; "
                "leave it out, or start a new run"
            )


def _state(environment: dict[str, Any]) -> dict[str, Any]:
    return {name: environment[name] for name in ("load_average", "git", "source")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
