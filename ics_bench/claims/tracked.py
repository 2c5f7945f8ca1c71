"""The number by which a claim is followed over commits."""

from __future__ import annotations

from collections.abc import Mapping

from ics_bench.claims.claim import Claim
from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.rules.shortfall import bounded
from ics_bench.core import Case, Scalar


def tracked_arms(claim: Claim) -> dict[str, Arm]:
    """Arms of the headline setting, the first primary one, by role: all that is measured to follow a claim.

    Where the claim says so they are cheaper than those that it is judged by: what rests on minutes of deep nets, or of
    a search for a rate, is followed by shallow ones at one rate.
    """
    return {role: _cheaper(arm, claim.tracked) for role, arm in claim.primary[0].arms.items()}


def _cheaper(arm: Arm, tracked: Mapping[str, Scalar | Mapping[str, Scalar]]) -> Arm:
    def value_of(key: str) -> Scalar:
        own, cheaper = arm.pins[key], tracked.get(key)
        if isinstance(cheaper, Mapping):
            cheaper = cheaper.get(str(own))
        return own if cheaper is None else cheaper

    return Arm(arm.workload, Case.of({key: value_of(key) for key in arm.pins}))


def tracked_value(claim: Claim, evidence: Evidence, seeds: int) -> float:
    """Express how the headline setting stands to the registered verdict: finite, positive, lower is better.

    The rule's own `shortfall`, which falls as the claim holds by more; where the claim is registered as
    refuted, its reciprocal, which falls as the claim fails by more. It follows the effect and judges
    nothing: a few seeds are enough for it.

    Parameters
    ----------
    claim : Claim
    evidence : Evidence
    seeds : int
        At least this many in each arm.

    Raises
    ------
    MissingEvidenceError
        Where the setting has no effect to follow, such as a mean over a diverged replica.
    """
    setting = claim.primary[0]
    short = bounded(setting.rule.shortfall(setting.rule.find(evidence, tracked_arms(claim), seeds)))
    return bounded(1.0 / short) if claim.registered == "refuted" else short
