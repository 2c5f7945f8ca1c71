"""What claims cost: the seconds that measuring the cases of each took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ics_bench.claims.claim import Claim
from ics_bench.core import CaseRecord


def seconds_by_claim(claims: Sequence[Claim], records: Iterable[CaseRecord]) -> dict[str, float]:
    """Sum the seconds of the cases that each claim reads, each case once a claim.

    A case that several claims share counts for each of them, so the sum over claims is more than the
    run took.

    Parameters
    ----------
    claims : sequence of Claim
    records : iterable of CaseRecord
        Of one run.

    Returns
    -------
    dict of str to float
        By id; 0 where no case of the claim is in the run.
    """
    by_workload: dict[str, list[CaseRecord]] = {}
    for record in records:
        by_workload.setdefault(record.workload, []).append(record)
    found = {}
    for claim in claims:
        arms = set(claim.arms())
        read = {
            record.key: record.seconds
            for arm in arms
            for record in by_workload.get(arm.workload, ())
            if record.case.matches(**arm.pins)
        }
        found[claim.id] = sum(read.values())
    return found
