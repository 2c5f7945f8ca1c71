"""Files that are written in one step, and the errors of those that cannot be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.core.text import why


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: it has the old content or the new, whatever happens.

    Raises
    ------
    OSError
        If the disk does not take it; the old file is intact then.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def check_target(path: Path) -> Path:
    """Refuse, before anything is measured for it, a path that no file can be written to; return what it links to.

    Raises
    ------
    UsageError
        If it is something else than a file, or its folder is missing or not writable.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise UsageError(f"{str(path)!r} is no regular file; name a file to write")
        with tempfile.TemporaryFile(dir=target.parent):
            return target
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise UsageError(f"{str(path)!r} cannot be written: {why(error)}; name another file") from error


def write_file(path: Path, content: bytes) -> Path:
    """Write what a user asked for to a file, in one step; return the file that was replaced.

    Raises
    ------
    UsageError
        If the path cannot be written; an old file is as it was then.
    """
    target = check_target(path)
    try:
        replace_file(target, content)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be written: {why(error)}; name another file") from error
    return target
