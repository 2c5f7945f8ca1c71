"""The folder of a run: ``run.json`` and ``measurements.jsonl``, one line a case.

A case is appended and flushed to disk before the next begins, so that a kill at any moment loses at
most the case in flight: its torn line is dropped on the next opening.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ics_bench.core import PROFILES, CaseRecord, UsageError
from ics_bench.core.text import why
from ics_bench.results.codec import decode_record, encode_record, strict_loads
from ics_bench.results.files import replace_file

SCHEMA = 1
RUN_FILE = "run.json"
RECORDS_FILE = "measurements.jsonl"
CORRUPT_FILE = "measurements.corrupt"
LOCK_FILE = ".lock"

_WRITABLE = "make room or make it writable, or measure into another folder"
_BROKEN = "take it from a copy, or measure again into another folder"

HEADER = {"settings": dict, "environment": dict, "plan": list, "workloads": dict}
"""What every reader of ``run.json`` relies on."""


def read_header(folder: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises
    ------
    UsageError
        If the folder holds no run, a broken one, or one of a newer schema.
    """
    path = folder / RUN_FILE
    try:
        header = strict_loads(path.read_bytes())
        schema = header["schema"]
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{str(folder)!r} holds no run: {RUN_FILE} is missing; name the folder that a run was written to"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{str(path)!r} cannot be read: {why(error)}; make it readable, or name another run"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}; {_BROKEN}") from error
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise UsageError(f"{str(path)!r} has schema {schema!r:.80}, not a positive integer; {_BROKEN}")
    if schema > SCHEMA:
        raise UsageError(
            f"{str(folder)!r} was written with schema {schema}; this version reads up to {SCHEMA}: upgrade ics-bench"
        )
    for name, kind in HEADER.items():
        if not isinstance(header.get(name), kind):
            raise UsageError(f"{str(path)!r} is broken: {name!r} is missing or no {kind.__name__}; {_BROKEN}")
    if header["settings"].get("profile") not in PROFILES:
        raise UsageError(f"{str(path)!r} is broken: its settings name no profile; {_BROKEN}")
    return dict(header)


def write_header(folder: Path, header: dict[str, Any]) -> None:
    """Replace ``run.json`` in one step: a full disk or a kill leaves the old one whole."""
    text = json.dumps({**header, "schema": SCHEMA}, indent=1, allow_nan=False)
    replace_file(folder / RUN_FILE, text.encode())


def create_folder(folder: Path, header: dict[str, Any]) -> None:
    """Make a new run folder.

    Raises
    ------
    UsageError
        If it exists or cannot be written; nothing of it stays then.
    """
    try:
        made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"output folder {str(folder)!r} exists; name another, or --resume to finish it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"output folder {str(folder)!r} cannot be made: {why(error)}; name another") from error
    try:
        (folder / RECORDS_FILE).touch()
        write_header(folder, header)  # last: a folder with a header is a whole run
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made[1:]:
            parent.rmdir()
        if isinstance(error, OSError):
            raise UsageError(f"output folder {str(folder)!r} cannot be written: {why(error)}; name another") from error
        raise


def read_records(folder: Path) -> list[CaseRecord]:
    """Read every whole record; the last line is dropped when it was torn by a kill.

    A case that failed and was measured later counts once, as it ended.

    Raises
    ------
    UsageError
        If a whole line is corrupt, or a finished case stands twice.
    """
    records: dict[str, CaseRecord] = {}
    for number, _, record in _scan(folder):
        if isinstance(record, str):
            raise UsageError(
                f"{str(folder / RECORDS_FILE)!r} line {number} is corrupt: {record}; "
                f"to set it aside and measure its case again: ics-bench run --resume --out {shlex.quote(str(folder))}"
            )
        records[record.key] = record
    return list(records.values())


def set_aside(folder: Path) -> int:
    """Move corrupt lines to ``measurements.corrupt``; return how many. The caller holds the lock.

    Raises
    ------
    UsageError
        If the disk does not take it; the records are as they were then.
    """
    lines = list(_scan(folder))
    corrupt = [line for _, line, record in lines if isinstance(record, str)]
    if not corrupt:
        return 0
    try:
        with (folder / CORRUPT_FILE).open("ab") as file:
            file.write(b"".join(line + b"\n" for line in corrupt))
            file.flush()
            os.fsync(file.fileno())
        whole = b"".join(line + b"\n" for _, line, record in lines if not isinstance(record, str))
        replace_file(folder / RECORDS_FILE, whole)
    except OSError as error:
        raise UsageError(f"{str(folder)!r} cannot be written: {why(error)}; {_WRITABLE}") from error
    return len(corrupt)


def _scan(folder: Path) -> Iterator[tuple[int, bytes, CaseRecord | str]]:
    """Yield each whole line with its number and its record, or what is wrong with it."""
    path = folder / RECORDS_FILE
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(
            f"{str(path)!r} cannot be read: {why(error)}; make it readable, or name another run"
        ) from error
    finished = set()
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is torn or empty
        record: CaseRecord | str
        try:
            record = decode_record(line)
        except ValueError as error:
            record = str(error)
        else:
            if record.key in finished:
                record = f"it repeats case {record.workload} {record.case}"
            elif record.status != "failed":
                finished.add(record.key)
        yield number, line, record


class Writer:
    """Appends records under a lock that the system releases even when the process is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self._file: int | None = None

    def __enter__(self) -> Writer:
        try:
            lock = os.open(self._folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"{str(self._folder)!r} cannot be written: {why(error)}; {_WRITABLE}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise UsageError(f"{str(self._folder)!r} is being written by another process; wait for it to end") from None
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for held in (self._file, self._lock):
            if held is not None:
                os.close(held)
        self._file = self._lock = None

    def append(self, record: CaseRecord) -> None:
        """Write one record and bring it to the disk; on failure nothing of it stays.

        Raises
        ------
        UsageError
            If the disk does not take it, or the record holds what a file cannot.
        """
        if self._lock is None:
            raise RuntimeError("Writer is used outside its with block")
        try:
            rest = encode_record(record).encode() + b"\n"
        except ValueError as error:
            name = f"{record.workload} {record.case}"
            raise UsageError(f"the record of {name} cannot be written: {error}; correct what it names") from error
        path = self._folder / RECORDS_FILE
        try:
            if self._file is None:
                self._file = _open_at_end(path)
            start = os.lseek(self._file, 0, os.SEEK_CUR)
            try:
                while rest:
                    rest = rest[os.write(self._file, rest) :]
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, start)
                raise
        except OSError as error:
            raise UsageError(
                f"{str(path)!r} cannot be appended to: {why(error)}; earlier records are kept, "
                f"to finish: ics-bench run --resume --out {shlex.quote(str(self._folder))}"
            ) from error


def _open_at_end(path: Path) -> int:
    """Open for writing after the last whole line, dropping a torn one."""
    end = path.read_bytes().rfind(b"\n") + 1
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    os.ftruncate(file, end)
    os.lseek(file, 0, os.SEEK_END)
    return file
