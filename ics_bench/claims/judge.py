"""The judge: claims and measurements in, judgements out. It reads nothing else and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ics_bench.claims.claim import Claim, Family, Revised, Setting, Verdict
from ics_bench.claims.combine import combine, combined_p
from ics_bench.claims.evidence import Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.core import PROFILES, Measurement, Profile, unknown
from ics_bench.core.text import encode_number
from ics_bench.stats import Interval

_EMPTY: Mapping[str, Finding] = MappingProxyType({})


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim and what it rests on.

    Parameters
    ----------
    id : str
        The claim's.
    verdict : {"supported", "refuted", "setting-dependent", "inconclusive"}
    registered : str
        The verdict expected before the measurement.
    family : {"theory", "training"}
    profile : {"quick", "standard", "full"}
        Of the measurements.
    headline : str
        The primary setting that ``effect``, ``interval``, ``n`` and ``unit`` belong to: the first.
    effect, interval, n, unit
    p : float, optional
        Of the verdict, where tests stand behind it, before and after the family's correction.
    p_adjusted : float, optional
    warnings : tuple of str
    settings, controls : mapping of str to Finding
    primary : frozenset of str
        Names of the settings that decided.
    section : str
        Where the claim belongs.
    tier : {"standard", "full"}
        As of the claim.
    budget_seconds : float
        What measuring it may cost.
    history : str
        An earlier registered verdict and why it changed; empty where there was none.
    revised : {"", "verdict", "rule", "seeds"}
        What of the claim was changed when results on registered seeds had been seen.
    """

    id: str
    verdict: Verdict
    registered: Verdict
    family: Family
    profile: Profile
    headline: str
    effect: float
    interval: Interval
    n: int
    unit: str
    p: float | None = None
    p_adjusted: float | None = None
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Finding] = field(default_factory=lambda: _EMPTY)
    controls: Mapping[str, Finding] = field(default_factory=lambda: _EMPTY)
    primary: frozenset[str] = frozenset()
    section: str = ""
    tier: Profile = "standard"
    budget_seconds: float = math.nan
    history: str = ""
    revised: Revised = ""

    @property
    def as_registered(self) -> bool:
        """Whether the verdict is the one that was expected."""
        return self.verdict == self.registered

    @property
    def map(self) -> dict[str, SettingVerdict]:
        """Verdict in each primary setting, in the order of the catalogue."""
        return {name: finding.verdict for name, finding in self.settings.items() if name in self.primary}

    def to_dict(self) -> dict[str, Any]:
        """Return values that strict JSON can hold; infinities and NaN go by name."""
        return {
            "id": self.id,
            "section": self.section,
            "verdict": self.verdict,
            "registered": self.registered,
            "as_registered": self.as_registered,
            "map": self.map,
            "history": self.history,
            "revised": self.revised,
            "family": self.family,
            "tier": self.tier,
            "profile": self.profile,
            "budget_seconds": encode_number(self.budget_seconds),
            "headline": self.headline,
            "effect": encode_number(self.effect),
            "interval": [encode_number(end) for end in self.interval],
            "n": self.n,
            "unit": self.unit,
            "p": None if self.p is None else encode_number(self.p),
            "p_adjusted": None if self.p_adjusted is None else encode_number(self.p_adjusted),
            "warnings": list(self.warnings),
            "settings": {
                name: {"primary": name in self.primary, **finding.to_dict()} for name, finding in self.settings.items()
            },
            "controls": {name: finding.to_dict() for name, finding in self.controls.items()},
        }


def judge(claim: Claim, measurements: Iterable[Measurement] | Evidence, profile: Profile) -> Judgement:
    """Judge one claim, before any correction for the number of claims.

    Parameters
    ----------
    claim : Claim
    measurements : iterable of Measurement, or Evidence
        Of one run; other claims' measurements do not matter. Of each case, the first ``claim.seeds``
        seeds count.
    profile : {"quick", "standard", "full"}
        What the run was measured in. Quick runs show that a workload runs, and never judge. The other
        profiles take different cases, but measure a case alike: a claim of tier full may rest on any of
        them that holds its cases.

    Returns
    -------
    Judgement
        Inconclusive, with a warning that says what to run, wherever evidence is missing or a negative
        control does not come out empty.

    Raises
    ------
    UsageError
        For an unknown profile.
    """
    large_enough = may_judge(profile)
    evidence = measurements if isinstance(measurements, Evidence) else Evidence(measurements)
    evidence = evidence.first(claim.seeds)
    settings = {s.name: _find(s, evidence, claim.least_seeds, large_enough) for s in claim.settings}
    controls = {c.name: _find(c, evidence, claim.least_seeds, large_enough) for c in claim.controls}
    deciding = [settings[setting.name] for setting in claim.primary]
    objections = _failed_controls(controls) if large_enough else [_too_small(claim)]
    verdict: Verdict = "inconclusive" if objections else combine(deciding)
    if large_enough and verdict == "inconclusive" and any(0 < finding.n < claim.seeds for finding in deciding):
        objections.append(f"fewer than the {claim.seeds} registered seeds; run: ics-bench claims {claim.id}")
    notes = [f"{name}: {text}" for name, finding in (settings | controls).items() for text in finding.warnings]
    notes += evidence.cautions()
    headline = claim.primary[0].name
    shown = settings[headline]
    return Judgement(
        id=claim.id,
        verdict=verdict,
        registered=claim.registered,
        family=claim.family,
        profile=profile,
        headline=headline,
        effect=shown.effect,
        interval=shown.interval,
        n=shown.n,
        unit=shown.unit,
        p=combined_p(verdict, deciding),
        warnings=(*objections, *notes),
        settings=MappingProxyType(settings),
        controls=MappingProxyType(controls),
        primary=frozenset(setting.name for setting in claim.primary),
        section=claim.section,
        tier=claim.tier,
        budget_seconds=claim.budget_seconds,
        history=claim.history,
        revised=claim.revised,
    )


def may_judge(profile: Profile) -> bool:
    """Whether a verdict may rest on measurements of this profile.

    Raises
    ------
    UsageError
        For an unknown profile.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    return profile != "quick"


def _find(setting: Setting, evidence: Evidence, seeds: int, large_enough: bool) -> Finding:
    try:
        finding = setting.rule.find(evidence, setting.arms, seeds)
    except MissingEvidenceError as missing:
        return Finding("inconclusive", warnings=(str(missing),))
    return finding if large_enough else replace(finding, verdict="inconclusive", p=None)


def _too_small(claim: Claim) -> str:
    return f"profile quick never judges; run: ics-bench claims {claim.id}"


def _failed_controls(controls: Mapping[str, Finding]) -> list[str]:
    return [
        f"negative control {name!r} is {finding.verdict}: the measurement may see the effect where there is none"
        for name, finding in controls.items()
        if finding.verdict != "supported"
    ]
