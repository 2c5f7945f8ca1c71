"""Writes the page and what it needs into a folder, whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ics_bench.core import UsageError
from ics_bench.core.text import why
from ics_bench.report.render import GENERATOR, render
from ics_bench.results.run import Run

if TYPE_CHECKING:
    from ics_bench.claims.judge import Judgement

PAGE = "index.html"
SCRIPT = "report.js"
PLOTLY = "plotly.min.js"
FILES = frozenset({PAGE, SCRIPT, PLOTLY})


def write_report(runs: Sequence[Run], out: str | Path, judgements: Sequence[Judgement] = ()) -> Path:
    """Write a page about runs that opens offline in any browser.

    Everything is rendered first, then written beside ``out`` and renamed: a failure leaves no half of
    a page, and an earlier report stays until the new one is whole.

    Parameters
    ----------
    runs : sequence of Run
        At least one.
    out : path
        Folder to make. An earlier report there is replaced; anything else is left alone.
    judgements : sequence of Judgement, optional
        Verdicts to show.

    Returns
    -------
    Path
        The page, ``index.html``.

    Raises
    ------
    UsageError
        If there are no runs, if ``out`` holds something else than a report, or cannot be written.
    """
    from plotly.offline import get_plotlyjs

    if not runs:
        raise UsageError("a report needs at least one run; name its folder")
    check_replaceable(Path(out))
    package = resources.files("ics_bench.report") / "templates"
    contents = {
        PAGE: render(runs, judgements),
        SCRIPT: (package / SCRIPT).read_text(encoding="utf-8"),
        PLOTLY: get_plotlyjs(),
    }
    return write_site(Path(out), contents)


def write_site(out: Path, contents: dict[str, str]) -> Path:
    """Write the files of a page into a folder, in one step; return the page.

    Raises
    ------
    UsageError
        If ``out`` holds something else than a report, or cannot be written.
    """
    check_replaceable(out)
    try:
        _replace(out, contents)
    except (OSError, ValueError) as error:  # ValueError: a name that no system call takes
        raise UsageError(f"report folder {str(out)!r} cannot be written: {why(error)}; name another") from error
    return out / PAGE


def check_replaceable(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier report.

    Raises
    ------
    UsageError
        Naming it.
    """
    try:
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise UsageError(f"report folder {str(out)!r} is not a folder; name another")
        found = {path.name for path in out.iterdir()} if out.exists() else set()
        if found and not (found <= FILES and _is_ours(out / PAGE)):
            raise UsageError(f"report folder {str(out)!r} holds something else than a report; name another")
    except OSError as error:
        raise UsageError(f"report folder {str(out)!r} cannot be read: {why(error)}; name another") from error


def _is_ours(page: Path) -> bool:
    if page.is_symlink() or not page.is_file():
        return False
    with page.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}'.encode() in file.read(4096)


def _replace(out: Path, contents: dict[str, str]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.parent / f".ics-bench-report-{secrets.token_hex(6)}"
    old = fresh.with_name(f"{fresh.name}-old")
    try:
        fresh.mkdir()
        for name, content in contents.items():
            (fresh / name).write_text(content, encoding="utf-8", newline="\n")
        if out.exists():
            out.rename(old)
        try:
            fresh.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if out.exists():  # never the last copy
            shutil.rmtree(old, ignore_errors=True)
