"""What rules about an effect share: from one number a seed, positive where the claim is right, to a finding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.shortfall import short_of
from ics_bench.core import Measurement
from ics_bench.stats import (
    Interval,
    below_margin,
    exceeds_margin,
    median_interval,
    sign_flip,
    signed_ranks,
    t_interval,
)

Better = Literal["lower", "higher"]
Scale = Literal["log10-ratio", "difference"]
Summary = Literal["mean", "median"]
Claimed = Literal["present", "absent"]
Values = NDArray[np.float64]

_OPPOSITE: Mapping[SettingVerdict, SettingVerdict] = {
    "supported": "refuted",
    "refuted": "supported",
    "inconclusive": "inconclusive",
}


def check_option(name: str, value: str, options: tuple[str, ...]) -> None:
    """Raise ``ValueError`` unless a parameter holds one of its values."""
    if value not in options:
        raise ValueError(f"{name}={value!r} is not {' or '.join(options)}")


def check_alpha(alpha: float) -> None:
    """Raise ``ValueError`` for a level that no one-sided test can have."""
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha={alpha}: expected a number between 0 and 0.5")


def check_smallest(smallest_effect: float) -> None:
    """Raise ``ValueError`` for a smallest effect that is negative or not finite."""
    if not (math.isfinite(smallest_effect) and smallest_effect >= 0):
        raise ValueError(f"smallest_effect={smallest_effect}: expected a number that is not negative")


def unit_of(scale: Scale) -> str:
    """Name the unit of an effect on a scale."""
    return "decades" if scale == "log10-ratio" else "difference"


def worst_of(better: Better, scale: Scale) -> float:
    """Value that a failed replica (NaN) counts as."""
    if better == "lower":
        return math.inf
    return 0.0 if scale == "log10-ratio" else -math.inf


def on_scale(
    evidence: Evidence, arms: Mapping[str, Arm], metric: str, better: Better, scale: Scale, seeds: int
) -> dict[str, Values]:
    """Read every arm's metric by seed, on the scale on which differences are the effect.

    Returns
    -------
    dict of str to array of float64, shape (seeds,)
        By role, in the order of the seeds; a failed replica (NaN) holds the worst value.

    Raises
    ------
    MissingEvidenceError
        If an arm has too few seeds, the arms have different ones, or a value has no logarithm.
    """
    found = {role: evidence.by_seed(arm, metric, seeds) for role, arm in arms.items()}
    check_same_seeds(metric, found)
    worst = worst_of(better, scale)
    values = {
        role: np.array([worst if math.isnan(item.value) else item.value for item in arm.values()])
        for role, arm in found.items()
    }
    if scale == "difference":
        return values
    if min(float(arm.min()) for arm in values.values()) < 0:
        raise MissingEvidenceError(f"{metric} is negative for some seed, so it has no log-ratio; judge its difference")
    with np.errstate(divide="ignore"):
        return {role: np.log10(arm) for role, arm in values.items()}


def check_same_seeds(what: str, found: Mapping[str, Mapping[int, Measurement]]) -> None:
    """Raise `MissingEvidenceError` unless all arms were measured on the same seeds."""
    if len({frozenset(arm) for arm in found.values()}) > 1:
        if len(found) == 2:
            raise MissingEvidenceError(
                f"{what}: the two arms were measured on different seeds; run both with the same ones"
            )
        raise MissingEvidenceError(f"{what}: the arms were measured on different seeds; run all with the same ones")


def gain(ours: Values, theirs: Values, better: Better) -> Values:
    """Advantage of one arm over another on a scale, positive where ours is better; two failures tie."""
    with np.errstate(invalid="ignore"):
        difference: Values = np.where(ours == theirs, 0.0, ours - theirs)
    return -difference if better == "lower" else difference


def infinities(amount: int, seeds: int) -> tuple[str, ...]:
    """Warn of seeds whose effect is infinite."""
    text = f"{amount} of {seeds} seeds hold a failure or an infinity; a failure counts as the worst value"
    return (text,) if amount else ()


def effect_finding(
    gains: Values,
    smallest_effect: float,
    summary: Summary,
    alpha: float,
    unit: str,
    target: str,
    optimistic: Values | None = None,
) -> Finding:
    """Hold gains against the smallest effect that matters, by exact sign flips.

    *Supported*: H0 "gain ≤ smallest effect" is rejected. *Refuted*: H0 "gain ≥ smallest effect" is
    rejected, so that a gain which matters is ruled out, whether there is none or the opposite. The two
    cannot both be, and a sample that is too small to say gives neither.

    Parameters
    ----------
    gains : array of float64, shape (seeds,)
        Positive where the claim is right; ±inf where a replica failed.
    smallest_effect : float
        May be negative.
    summary : {"mean", "median"}
        A mean cannot hold a failure; a median is tested by signed ranks.
    alpha : float
        Level of each one-sided test.
    unit, target : str
        For the finding.
    optimistic : array of float64, shape (seeds,), optional
        The gains again, where a failure on both sides leaves a range: ``gains`` holds its lower ends,
        by which a claim is supported, this the upper ends, by which it is refuted.

    Raises
    ------
    MissingEvidenceError
        For failures under ``summary="mean"``.
    """
    upper = gains if optimistic is None else optimistic
    failures = int((~(np.isfinite(gains) & np.isfinite(upper))).sum())
    if summary == "mean":
        if failures:
            raise MissingEvidenceError(
                f"{failures} of {gains.size} seeds hold a failure or an infinity, which no mean can; judge the median"
            )
        effect, interval = float(gains.mean()), t_interval(gains)
        holds = exceeds_margin(gains, smallest_effect).p
        absent = below_margin(upper, smallest_effect).p
    else:
        low, high = median_interval(gains), median_interval(upper)
        effect = low.median if low.median == high.median else math.nan
        interval = Interval(low.interval.low, high.interval.high)
        holds = sign_flip(signed_ranks(gains - smallest_effect), "greater").p
        absent = sign_flip(signed_ranks(upper - smallest_effect), "less").p
    verdict: SettingVerdict = "inconclusive"
    if min(holds, absent) <= alpha:
        verdict = "supported" if holds < absent else "refuted"
    warnings = list(infinities(failures, gains.size))
    open_ends = int((gains != upper).sum())
    if open_ends:
        warnings.append(f"failures leave {open_ends} of {gains.size} seeds undecided: they count for neither verdict")
    return Finding(
        verdict,
        effect=effect,
        interval=interval,
        n=gains.size,
        unit=unit,
        target=target,
        interval_kind=f"95 % of the {summary}",
        p=min(holds, absent),
        warnings=tuple(warnings),
    )


def as_claimed(finding: Finding, claimed: Claimed) -> Finding:
    """Turn the verdict round where the claim is that there is no such effect."""
    return finding if claimed == "present" else replace(finding, verdict=_OPPOSITE[finding.verdict])


def short_of_claim(finding: Finding, smallest_effect: float, claimed: Claimed) -> float:
    """Below 1 where an effect has the claimed sign, or where an absent one stays below what matters."""
    return short_of(finding if claimed == "present" else replace(finding, effect=smallest_effect - finding.effect))
