"""A decision as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.core.text import printable, why
from ics_bench.gate.rows import COLUMNS, Row, headline, rows
from ics_bench.gate.verdict import EXIT_CODES, Decision

SUMMARY = "GITHUB_STEP_SUMMARY"
"""Variable in which a GitHub job finds the file of its summary."""

MOST_ROWS = 200
"""GitHub shows 1 MiB of summary at most; the gravest come first."""

_PLAIN = frozenset(" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.;%()/=?'+-–—±×≤≥→µ")
_LINK = re.compile(r"(?i)www\.")


def escape(text: str) -> str:
    r"""Write text so that neither Markdown nor HTML sees anything in it.

    Examples
    --------
    >>> escape("a|b <img>")
    'a&#124;b &#60;img&#62;'
    """
    shown = "".join(c if c in _PLAIN or (ord(c) > 127 and c.isalnum()) else f"&#{ord(c)};" for c in printable(text))
    return _LINK.sub(lambda found: f"{found[0][:3]}&#46;", shown.replace("&#58; ", ": "))


def markdown(decision: Decision) -> str:
    """Write a decision as GitHub's Markdown: a table, and below it why."""
    found = rows(decision)
    lines = [
        f"## Performance gate: {escape(headline(decision))}",
        "",
        f"<code>{escape(decision.base)}</code> against <code>{escape(decision.head)}</code>; exit code "
        f"{decision.exit_code}: {EXIT_CODES[decision.exit_code]}",
        "",
        *(f"- ✗ {escape(failure)}" for failure in decision.failures),
        *(f"- <code>{escape(line)}</code>" for line in decision.said),
        *(f"- ⚠ {escape(warning)}" for warning in decision.warnings),
        "",
    ]
    if found:
        lines += [
            f"| {' | '.join(escape(name) for name in COLUMNS)} |",
            f"|{'|'.join([' --- '] * 2 + [' ---: '] * (len(COLUMNS) - 2))}|",
            *(_line(row) for row in found[:MOST_ROWS]),
        ]
    if len(found) > MOST_ROWS:
        lines += ["", f"and {len(found) - MOST_ROWS} more, in the JSON"]
    told = [row for row in found[:MOST_ROWS] if row.verdict != "no change" or row.notes]
    lines += ["", "<details><summary>Why</summary>", "", *(_why(row) for row in told), "", "</details>"] if told else []
    facts = [f"{escape(name)}: {escape(value)}" for name, value in decision.facts.items()]
    lines += ["", "; ".join(facts)] if facts else []
    return "\n".join([*lines, ""])


def _line(row: Row) -> str:
    cells = (row.base, row.head, row.change, row.interval, row.n, row.p)
    verdict = f"{row.sign} {row.verdict}"
    return f"| {escape(verdict)} | <code>{escape(row.name)}</code> | {' | '.join(map(escape, cells))} |"


def _why(row: Row) -> str:
    notes = "".join(f"; {escape(note)}" for note in (*row.others, *row.notes))
    return f"- <code>{escape(row.name)}</code>: {escape(row.reason)}{notes}"


def append_summary(decision: Decision) -> Path | None:
    """Append the Markdown to the summary of the GitHub job that this runs in; ``None`` outside one.

    Raises
    ------
    UsageError
        If the file that the job names cannot be written.
    """
    name = os.environ.get(SUMMARY)
    if not name:
        return None
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"\n{markdown(decision)}")
    except (OSError, ValueError) as error:
        raise UsageError(f"{SUMMARY}={name!r} cannot be written: {why(error)}; unset it or name a file") from error
    return Path(name)
