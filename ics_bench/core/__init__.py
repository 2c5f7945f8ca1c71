"""The vocabulary of ics-bench. Nothing here imports torch or pandas."""

from ics_bench.core.case import Case, Scalar
from ics_bench.core.errors import UsageError, unknown
from ics_bench.core.measurement import Curve, Measurement
from ics_bench.core.metric import Metric
from ics_bench.core.record import CaseRecord, case_key
from ics_bench.core.seeding import derive_seed
from ics_bench.core.workload import PROFILES, Axis, Profile, Workload

__all__ = [
    "PROFILES",
    "Axis",
    "Case",
    "CaseRecord",
    "Curve",
    "Measurement",
    "Metric",
    "Profile",
    "Scalar",
    "UsageError",
    "Workload",
    "case_key",
    "derive_seed",
    "unknown",
]
