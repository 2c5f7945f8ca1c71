"""Judgements in the terminal and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ics_bench.cli.text import cell, printable, table
from ics_bench.core.text import count, encode_number
from ics_bench.results.files import write_file

if TYPE_CHECKING:
    from ics_bench.claims import Claim, Judgement
    from ics_bench.claims.repetition import Repetition
    from ics_bench.results.run import Run

STATEMENT_WIDTH = 48

NOTES_SHOWN = 4
"""Warnings of a claim that the terminal shows; what decided comes first."""

REVISED = "†"
"""Marks a claim that was changed when results on its seeds had been seen."""

COLUMNS = ("claim", "statement", "verdict", "registered", "effect", "n", "tier", "budget s", "took s", "warnings")


@dataclass(frozen=True)
class Judged:
    """Runs with the judgements on them; by claim, the place of the run judged on and what measuring it took."""

    runs: list[Run]
    judgements: list[Judgement]
    places: dict[str, int]
    seconds: dict[str, float]

    @property
    def failed(self) -> bool:
        """Whether a measurement failed."""
        return any(run.failed for run in self.runs)


def verdict_table(judgements: Sequence[Judgement], catalogue: Sequence[Claim], seconds: Mapping[str, float]) -> str:
    """Lay judgements out under the headings of their sections, with their maps and warnings below.

    Parameters
    ----------
    judgements : sequence of Judgement
    catalogue : sequence of Claim
        For the statements.
    seconds : mapping of str to float
        What measuring each claim took, by id; 0 where nothing was measured for it.
    """
    sections = list(dict.fromkeys(j.section for j in judgements))
    judgements = sorted(judgements, key=lambda j: sections.index(j.section))
    statements = {claim.id: claim.statement for claim in catalogue}
    rows = [
        (
            j.id,
            _short(statements.get(j.id, "")),
            j.verdict,
            f"{j.registered}{REVISED * bool(j.revised)}",
            effect_text(j),
            j.n,
            j.tier,
            round(j.budget_seconds) if math.isfinite(j.budget_seconds) else None,
            round(seconds[j.id], 1) if seconds.get(j.id) else None,
            len(j.warnings),
        )
        for j in judgements
    ]
    lines = table(COLUMNS, rows).split("\n")
    head, body = lines[: len(lines) - len(rows)], lines[len(lines) - len(rows) :]
    for section, group in groupby(zip(judgements, body, strict=True), key=lambda pair: pair[0].section):
        head += ["", printable(section), *(line for _, line in group)]
    return "\n".join([*head, "", *_maps(judgements), *_notes(judgements), _balance(judgements)])


def effect_text(judgement: Judgement) -> str | None:
    """Write the effect of the headline setting with its interval and unit."""
    if not judgement.n:
        return None
    low, high = judgement.interval
    parts = [cell(judgement.effect)]
    if not (math.isnan(low) or low == high):
        parts.append(f"[{cell(low)}, {cell(high)}]")
    return " ".join([*parts, *([judgement.unit] if judgement.unit != "1" else [])])


def _maps(judgements: Sequence[Judgement]) -> list[str]:
    """Name the settings on which verdicts depend."""
    lines = []
    for j in judgements:
        verdicts = list(dict.fromkeys(j.map.values()))
        if len(verdicts) > 1 or j.verdict == "setting-dependent":
            parts = (
                f"{verdict} in {', '.join(repr(name) for name, found in j.map.items() if found == verdict)}"
                for verdict in verdicts
            )
            lines.append(f"{j.id}: {printable('; '.join(parts))}")
    return ["by setting", *lines, ""] if lines else []


def _notes(judgements: Sequence[Judgement]) -> list[str]:
    notes = []
    for j in judgements:
        notes += [f"{j.id}: {printable(text)}" for text in j.warnings[:NOTES_SHOWN]]
        if len(j.warnings) > NOTES_SHOWN:
            notes.append(f"{j.id}: and {len(j.warnings) - NOTES_SHOWN} more, with --json FILE")
    return ["warnings", *notes, ""] if notes else []


def _balance(judgements: Sequence[Judgement]) -> str:
    different = [j.id for j in judgements if not j.as_registered]
    line = f"{len(judgements) - len(different)} of {count(len(judgements), 'verdict')} as registered"
    if different:
        line += f"; not: {', '.join(different)}"
    from ics_bench.claims.claim import REVISIONS

    revised = {part: [j.id for j in judgements if j.revised == what] for what, part in REVISIONS.items()}
    told = [f"the {part} of {', '.join(ids)}" for part, ids in revised.items() if ids]
    if told:
        line += f"\n{REVISED} changed when results on registered seeds had been seen: {'; '.join(told)}"
    return line


def repetition_table(repetition: Repetition) -> str:
    """Lay out how often each claim's verdict came out on different seeds, and in which runs it did not."""
    columns = ("claim", "registered", "runs", "as registered", "verdicts")
    rows = [
        (r.id, r.registered, len(r.verdicts), r.repeated, _tally(list(r.verdicts.values()))) for r in repetition.claims
    ]
    lines = [table(columns, rows), ""]
    for first in repetition.first_seeds:
        found = {r.id: r.verdicts[first] == r.registered for r in repetition.claims if first in r.verdicts}
        others = [name for name, same in found.items() if not same]
        named = f"; not: {', '.join(others)}" if others else ""
        verdicts = count(len(found), "verdict")
        lines.append(f"seeds from {first}: {len(found) - len(others)} of {verdicts} as registered{named}")
    same, everything = repetition.repeated
    lines.append(f"in all {same} of {everything}, {100 * repetition.share_registered:.1f} %")
    for share, what in (
        (repetition.share_agreeing, "a verdict"),
        (repetition.share_agreeing_in_settings, "what was found in a primary setting"),
    ):
        if not math.isnan(share):
            lines.append(f"{100 * share:.1f} % of the pairs of runs agree on {what}")
    return "\n".join(lines)


def _tally(verdicts: Sequence[str]) -> str:
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))


def write_judgements(path: Path, judged: Judged, catalogue: Sequence[Claim]) -> None:
    """Write judgements as strict JSON: each with its statement, its run and what measuring it took; and the runs."""
    statements = {claim.id: claim.statement for claim in catalogue}
    found = [
        {
            "statement": statements.get(j.id, ""),
            **j.to_dict(),
            "seconds": encode_number(seconds) if (seconds := judged.seconds.get(j.id)) else None,
            "run": judged.places[j.id],
        }
        for j in judged.judgements
    ]
    runs = [
        {"folder": run.folder.name, **{key: run.header[key] for key in ("created", "settings", "environment")}}
        for run in judged.runs
    ]
    _write(path, {"schema": 2, "runs": runs, "judgements": found})


def write_repetition(path: Path, repetition: Repetition) -> None:
    """Write the verdicts of every run, and how often they repeat, as strict JSON."""
    _write(path, {"schema": 2, **repetition.to_dict()})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_file(path, json.dumps(content, indent=1, allow_nan=False).encode())


def _short(statement: str) -> str:
    if len(statement) <= STATEMENT_WIDTH:
        return statement
    return f"{statement[: STATEMENT_WIDTH - 1].rstrip()}…"
