"""Judgements as the page shows them, beside what the catalogue says of their claims."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ics_bench.claims import Claim, Finding, Judgement, load_catalogue, seconds_by_claim
from ics_bench.claims.claim import REVISIONS
from ics_bench.core.text import duration
from ics_bench.report import text
from ics_bench.report.tables import MISSING
from ics_bench.results.run import Run
from ics_bench.stats import Interval

SIGNS = {"supported": "✓", "refuted": "✗", "setting-dependent": "◐", "inconclusive": "?"}
"""Verdicts are told apart without colour."""

PRIMARY, CONTROL = "primary", "negative control"


@dataclass(frozen=True, slots=True)
class SettingView:
    """One setting, or one control, of a claim."""

    name: str
    role: str
    verdict: str
    effect: str
    interval: str
    target: str
    n: int
    p: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerdictView:
    """One claim with its verdict."""

    id: str
    statement: str
    section: str
    page: str
    budget: str
    definition: str
    source: str
    caveat: str
    verdict: str
    registered: str
    as_registered: bool
    headline: str
    target: str
    effect: str
    interval: str
    n: int
    p: str
    warnings: tuple[str, ...]
    settings: tuple[SettingView, ...]
    tier: str
    profile: str
    family: str
    took: str
    history: str
    revised: str

    @property
    def deciding(self) -> tuple[SettingView, ...]:
        """The map: what was found in each primary setting."""
        return tuple(setting for setting in self.settings if setting.role == PRIMARY)

    @property
    def controls(self) -> tuple[SettingView, ...]:
        """Settings in which the effect must be absent."""
        return tuple(setting for setting in self.settings if setting.role == CONTROL)


def view_judgements(judgements: Sequence[Judgement], runs: Sequence[Run] = ()) -> list[VerdictView]:
    """Join judgements with the catalogue and with what their runs took, in the order of their sections.

    A claim that the catalogue does not hold keeps its id alone.
    """
    claims = {claim.id: claim for claim in load_catalogue()} if judgements else {}
    took = [(run.profile, seconds_by_claim(list(claims.values()), run.records)) for run in runs]
    views = []
    for judgement in judgements:
        seconds = [found.get(judgement.id, 0.0) for profile, found in took if profile == judgement.profile]
        views.append(_view(judgement, claims.get(judgement.id), max(seconds, default=0.0)))
    sections = list(dict.fromkeys(view.section for view in views))
    return sorted(views, key=lambda view: sections.index(view.section))


def tally(judgements: Iterable[Judgement]) -> list[tuple[str, int]]:
    """Count the verdicts, in the order of `SIGNS`; those that do not occur are left out."""
    found = [judgement.verdict for judgement in judgements]
    return [(verdict, found.count(verdict)) for verdict in SIGNS if verdict in found]


def _view(judgement: Judgement, claim: Claim | None, seconds: float) -> VerdictView:
    adjusted = "" if judgement.p_adjusted is None else f", {_p(judgement.p_adjusted)} corrected"
    return VerdictView(
        id=judgement.id,
        statement=claim.statement if claim else "",
        section=claim.section if claim else "",
        page=claim.page if claim else "",
        budget=duration(claim.budget_seconds) if claim else "",
        definition=claim.definition if claim else "",
        source=claim.source if claim else "",
        caveat=claim.caveat if claim else "",
        verdict=judgement.verdict,
        registered=judgement.registered,
        as_registered=judgement.as_registered,
        headline=judgement.headline,
        target=judgement.settings[judgement.headline].target if judgement.headline in judgement.settings else "",
        effect=_quantity(judgement.effect, judgement.unit),
        interval=_interval(judgement.interval),
        n=judgement.n,
        p="" if judgement.p is None else _p(judgement.p) + adjusted,
        warnings=judgement.warnings,
        settings=tuple(_settings(judgement)),
        tier=judgement.tier,
        profile=judgement.profile,
        family=judgement.family,
        took=duration(seconds) if seconds else "",
        history=judgement.history,
        revised=f"{REVISIONS[judgement.revised]} changed after results" if judgement.revised else "",
    )


def _settings(judgement: Judgement) -> Iterable[SettingView]:
    groups: tuple[tuple[str, Mapping[str, Finding]], ...] = (
        ("", judgement.settings),
        (CONTROL, judgement.controls),
    )
    for role, findings in groups:
        for name, found in findings.items():
            yield SettingView(
                name=name,
                role=role or (PRIMARY if name in judgement.primary else "shown beside"),
                verdict=found.verdict,
                effect=_quantity(found.effect, found.unit),
                interval=_interval(found.interval, found.interval_kind),
                target=found.target,
                n=found.n,
                p="" if found.p is None else _p(found.p),
                warnings=found.warnings,
            )


def _quantity(value: float, unit: str) -> str:
    if math.isnan(value):
        return MISSING
    return text.number(value, 3) if unit == "1" else f"{text.number(value, 3)} {unit}"


def _interval(interval: Interval, kind: str = "") -> str:
    if math.isnan(interval.low) or math.isnan(interval.high) or interval.low == interval.high:
        return ""
    return f"{text.number(interval.low, 3)} to {text.number(interval.high, 3)}{f' ({kind})' if kind else ''}"


def _p(value: float) -> str:
    return f"p {'<' if value < 1e-4 else '='} {max(value, 1e-4):.2g}"
