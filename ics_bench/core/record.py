"""What became of one case: measured, skipped with a reason, or failed with an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ics_bench.core.case import Case
from ics_bench.core.measurement import Measurement

Status = Literal["measured", "skipped", "failed"]


def case_key(workload: str, version: int, case: Case) -> str:
    """Identity of a case within a run, as the header's plan lists it."""
    return f"{workload} v{version} {case.id}"


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """The outcome of one case on all its seeds; the unit in which results are kept.

    Parameters
    ----------
    workload : str
    version : int
        Version of the workload's declaration.
    case : Case
    seeds : tuple of int
    status : {"measured", "skipped", "failed"}
    reason : str
        Why it was skipped, or the error that it failed with.
    seconds : float
        Wall time of the measurement.
    measurements : tuple of Measurement
    """

    workload: str
    version: int
    case: Case
    seeds: tuple[int, ...]
    status: Status
    reason: str = ""
    seconds: float = 0.0
    measurements: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status {self.status!r} is not one of {get_args(Status)}")

    @property
    def key(self) -> str:
        """Identity within a run."""
        return case_key(self.workload, self.version, self.case)
