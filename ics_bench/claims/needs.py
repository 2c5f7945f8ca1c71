"""What must be measured to judge a set of claims, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from ics_bench.claims.claim import Claim
from ics_bench.claims.evidence import Arm
from ics_bench.core import Case, Profile, UsageError
from ics_bench.workloads import load_workload


def requirements(claims: Sequence[Claim], profile: Profile) -> dict[str, dict[Case, int]]:
    """List what to measure for ``claims``.

    Parameters
    ----------
    claims : sequence of Claim
    profile : {"quick", "standard", "full"}
        At quick a case has the workload's own number of seeds, since nothing is judged; else as many
        as the most demanding of the claims that share it asks for.

    Returns
    -------
    dict
        By workload, each case with its number of seeds, in the order in which the claims need them.

    Raises
    ------
    UsageError
        If a claim names a workload, case key, value or metric that does not exist, or does not pin a
        case completely.
    """
    needed: dict[str, dict[Case, int]] = {}
    for claim in claims:
        _check_metrics(claim)
        for arm in claim.arms():
            case = case_of(claim, arm, profile)
            seeds = load_workload(arm.workload).seeds["quick"] if profile == "quick" else claim.seeds
            cases = needed.setdefault(arm.workload, {})
            cases[case] = max(cases.get(case, 0), seeds)
    return needed


def case_of(claim: Claim, arm: Arm, profile: Profile) -> Case:
    """Find the one case of a workload that an arm of a claim pins.

    Raises
    ------
    UsageError
        If the claim names a workload, case key or value that does not exist, or leaves an axis open.
    """
    workload = load_workload(arm.workload)
    free = sorted(axis.name for axis in workload.axes if axis.name not in arm.pins)
    if free:
        raise UsageError(f"claim {claim.id!r} leaves {', '.join(free)} of {arm.workload} open; pin every axis")
    try:
        (case,) = workload.cases(profile, {key: (arm.pins[key],) for key in arm.pins})
    except UsageError as error:
        raise UsageError(f"claim {claim.id!r}: {error}") from error
    return case


def _check_metrics(claim: Claim) -> None:
    for arm, metrics, _ in claim.readings():
        for metric in metrics:
            load_workload(arm.workload).metric(metric)
