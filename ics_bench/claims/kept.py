"""What is kept of a record as evidence: what the claims read, and no more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from ics_bench.claims.claim import Claim
from ics_bench.core import CaseRecord


def metrics_read(claims: Sequence[Claim], record: CaseRecord) -> dict[str, bool]:
    """Name the metrics that some claim reads from the case of a record, and whether it reads their curves.

    Parameters
    ----------
    claims : sequence of Claim
    record : CaseRecord

    Returns
    -------
    dict of str to bool
    """
    found: dict[str, bool] = {}
    for claim in claims:
        for arm, metrics, curves in claim.readings():
            if arm.workload == record.workload and record.case.matches(**arm.pins):
                found |= {metric: curves or found.get(metric, False) for metric in metrics}
    return found


def as_evidence(claims: Sequence[Claim], record: CaseRecord, beside: Collection[str] = ()) -> CaseRecord:
    """Leave out of a record the metrics and the curves that no claim reads.

    Parameters
    ----------
    claims : sequence of Claim
    record : CaseRecord
    beside : collection of str
        Metrics that are kept without their curves where some claim reads the case, for whoever reads the evidence.
    """
    read = metrics_read(claims, record)
    if read:
        read = dict.fromkeys(beside, False) | read
    kept = [m if read[m.metric] else replace(m, curve=None) for m in record.measurements if m.metric in read]
    return replace(record, measurements=tuple(kept))
