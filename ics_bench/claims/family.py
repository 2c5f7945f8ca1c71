"""Judging many claims: the training claims are one family, corrected together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ics_bench.claims.catalogue_files import load_catalogue, select
from ics_bench.claims.claim import Claim
from ics_bench.claims.evidence import Evidence
from ics_bench.claims.judge import Judgement, judge, may_judge
from ics_bench.core import Measurement, Profile, UsageError
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
    return [judgement for judgement, _ in judge_runs([(measurements, profile)], claims)]


def judge_runs(
    runs: Sequence[tuple[Iterable[Measurement], Profile]], claims: Sequence[str] = ()
) -> list[tuple[Judgement, int]]:
    """Judge claims on several runs, each claim on one of them.

    A claim is judged on the first run whose profile may judge it and that holds all it reads; where there is
    none, on the first that may judge it and bears on it, then on the first that bears on it, and else on the
    first. Evidence of two runs is never mixed.

    Parameters
    ----------
    runs : sequence of (iterable of Measurement, profile)
    claims : sequence of str
        Ids; empty for those with evidence in some run.

    Returns
    -------
    list of (Judgement, int)
        In the order of the catalogue, corrected as one family; with the place of the run judged on.

    Raises
    ------
    UsageError
        For an unknown claim or profile, or no run.
    """
    if not runs:
        raise UsageError("no run to judge; to measure what claims need: ics-bench claims")
    catalogue = load_catalogue()
    found = [(Evidence(items), profile) for items, profile in runs]
    judgements, places = [], []
    for claim in select(catalogue, claims) if claims else catalogue:
        bearing = [place for place, (evidence, _) in enumerate(found) if any(map(evidence.has, claim.arms()))]
        if not bearing and not claims:
            continue
        able = [place for place in bearing if may_judge(found[place][1])]
        read = [(arm, metrics) for arm, metrics, _ in claim.readings()]
        whole = [place for place in able if all(found[place][0].holds(*reading) for reading in read)]
        place = (whole or able or bearing or [0])[0]
        judgements.append(judge(claim, *found[place]))
        places.append(place)
    return list(zip(correct_family(judgements, training_claims(catalogue)), places, strict=True))


def training_claims(catalogue: Sequence[Claim]) -> int:
    """Size of the family."""
    return sum(claim.family == "training" for claim in catalogue)
