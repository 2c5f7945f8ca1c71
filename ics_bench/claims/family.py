"""Judging many claims: the training claims are one family, corrected together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ics_bench.claims.catalogue import load_catalogue, select
from ics_bench.claims.claim import Claim
from ics_bench.claims.evidence import Evidence
from ics_bench.claims.judge import Judgement, judge
from ics_bench.core import Measurement, Profile
from ics_bench.stats import holm

ALPHA = 0.05
"""Family-wise level over the training claims."""


def correct_family(judgements: Sequence[Judgement], family_size: int, alpha: float = ALPHA) -> list[Judgement]:
    """Correct the training claims' verdicts for their number (Holm 1979).

    Parameters
    ----------
    judgements : sequence of Judgement
        In any order; theory claims pass through untouched.
    family_size : int
        Number of training claims that are registered, judged here or not: judging a few of them
        must not make their p-values better.
    alpha : float
        A verdict whose adjusted p is above becomes inconclusive, and says so.
    """
    places = [place for place, judgement in enumerate(judgements) if judgement.family == "training"]
    raw = [judgements[place].p for place in places]
    adjusted = holm([1.0 if p is None else p for p in raw], family_size)
    corrected = list(judgements)
    for place, p in zip(places, adjusted, strict=True):
        corrected[place] = _corrected(judgements[place], p, family_size, alpha)
    return corrected


def _corrected(judgement: Judgement, adjusted: float, family_size: int, alpha: float) -> Judgement:
    if judgement.p is None:
        return judgement
    if adjusted <= alpha:
        return replace(judgement, p_adjusted=adjusted)
    lost = (
        f"{judgement.verdict} alone (p = {judgement.p:.2g}), not after Holm's correction for "
        f"{family_size} claims (p = {adjusted:.2g}); run more seeds"
    )
    return replace(judgement, verdict="inconclusive", p_adjusted=adjusted, warnings=(lost, *judgement.warnings))


def judge_run(measurements: Iterable[Measurement], profile: Profile, claims: Sequence[str] = ()) -> list[Judgement]:
    """Judge the named claims of the catalogue, or every claim that the measurements bear on.

    Parameters
    ----------
    measurements : iterable of Measurement
        Of one run.
    profile : {"quick", "standard", "full"}
    claims : sequence of str
        Ids; empty for those with evidence.

    Raises
    ------
    UsageError
        For an unknown claim or profile.
    """
    catalogue = load_catalogue()
    evidence = Evidence(measurements, profile if profile != "quick" else "standard")
    chosen = select(catalogue, claims) if claims else [c for c in catalogue if any(map(evidence.has, c.arms()))]
    judgements = [judge(claim, evidence, profile) for claim in chosen]
    return correct_family(judgements, training_claims(catalogue))


def training_claims(catalogue: Sequence[Claim]) -> int:
    """Size of the family."""
    return sum(claim.family == "training" for claim in catalogue)
