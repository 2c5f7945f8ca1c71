"""Training: one arm beats another by more than the smallest effect that matters, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.stats import (
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


@dataclass(frozen=True)
class PairedEffect:
    """Exact sign-flip margin tests of the subject's advantage over the baseline.

    The advantage is positive where the subject is better. *Supported*: H0 "advantage ≤ smallest
    effect" is rejected. *Refuted*: H0 "advantage ≥ smallest effect" is rejected, so that an advantage
    which matters is ruled out, whether there is none or the opposite. The two cannot both be, and a
    sample that is too small to say gives neither.

    A diverged replica (NaN) has failed: it counts as the worst value, and two failures of one seed
    tie. A mean cannot hold it, so a sample with failures needs ``summary="median"``, whose test is by
    signed ranks.

    Parameters
    ----------
    metric : str
    better : {"lower", "higher"}
    scale : {"log10-ratio", "difference"}
    smallest_effect : float
        Smallest advantage that matters, on that scale; not negative.
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    """

    roles: ClassVar[tuple[str, ...]] = ("subject", "baseline")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    scale: Scale
    smallest_effect: float
    summary: Summary = "median"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_paired(self.better, self.scale, self.alpha)
        if self.summary not in ("mean", "median"):
            raise ValueError(f"summary={self.summary!r} is not mean or median")
        if not (math.isfinite(self.smallest_effect) and self.smallest_effect >= 0):
            raise ValueError(f"smallest_effect={self.smallest_effect}: expected a number that is not negative")

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        gains = advantages(evidence, arms, self.metric, self.better, self.scale, seeds)
        failures = int((~np.isfinite(gains)).sum())
        if failures and self.summary == "mean":
            raise MissingEvidenceError(
                f"{failures} of {gains.size} pairs hold a failure, which no mean can; judge the median"
            )
        if self.summary == "mean":
            effect, interval = float(gains.mean()), t_interval(gains)
            holds = exceeds_margin(gains, self.smallest_effect).p
            absent = below_margin(gains, self.smallest_effect).p
        else:
            ranked = median_interval(gains)
            effect, interval = ranked.median, ranked.interval
            ranks = signed_ranks(gains - self.smallest_effect)
            holds, absent = sign_flip(ranks, "greater").p, sign_flip(ranks, "less").p
        verdict: SettingVerdict = "inconclusive"
        if min(holds, absent) <= self.alpha:
            verdict = "supported" if holds < absent else "refuted"
        return Finding(
            verdict,
            effect=effect,
            interval=interval,
            n=gains.size,
            unit=unit_of(self.scale),
            target=f"more than {self.smallest_effect:g}",
            interval_kind=f"95 % of the {self.summary}",
            p=min(holds, absent),
            warnings=(f"{failures} of {gains.size} pairs hold a failure, counted as the worst value",) * bool(failures),
        )


def check_paired(better: str, scale: str, alpha: float) -> None:
    """Raise ``ValueError`` for parameters that no paired rule takes."""
    if better not in ("lower", "higher"):
        raise ValueError(f"better={better!r} is not lower or higher")
    if scale not in ("log10-ratio", "difference"):
        raise ValueError(f"scale={scale!r} is not log10-ratio or difference")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha={alpha}: expected a number between 0 and 0.5")


def unit_of(scale: Scale) -> str:
    """Name the unit of an effect on a scale."""
    return "decades" if scale == "log10-ratio" else "difference"


def advantages(
    evidence: Evidence, arms: Mapping[str, Arm], metric: str, better: Better, scale: Scale, seeds: int
) -> NDArray[np.float64]:
    """Advantage of the subject over the baseline for each seed, positive where the subject is better.

    Returns
    -------
    array of float64, shape (seeds,)
        ±inf where one of the two failed or never arrived, 0 where both did.

    Raises
    ------
    MissingEvidenceError
        If the arms share too few seeds, or a ratio has no logarithm.
    """
    subject = evidence.by_seed(arms["subject"], metric, seeds)
    baseline = evidence.by_seed(arms["baseline"], metric, seeds)
    if subject.keys() != baseline.keys():
        raise MissingEvidenceError(
            f"{metric}: the two arms were measured on different seeds; run both with the same ones"
        )
    worst = math.inf if better == "lower" else 0.0 if scale == "log10-ratio" else -math.inf
    ours, theirs = (
        np.array([worst if math.isnan(item.value) else item.value for item in arm.values()])
        for arm in (subject, baseline)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        if scale == "log10-ratio":
            if min(ours.min(), theirs.min()) < 0:
                raise MissingEvidenceError(
                    f"{metric} is negative for some seed, so it has no log-ratio; judge its difference"
                )
            ours, theirs = np.log10(ours), np.log10(theirs)
        difference = np.where(ours == theirs, 0.0, ours - theirs)
    gains: NDArray[np.float64] = -difference if better == "lower" else difference
    return gains
