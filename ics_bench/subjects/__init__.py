"""What gets compared. Each kind of subject is open: built in, by entry point, or ``module:attribute``."""

from ics_bench.core.registry import Registry
from ics_bench.subjects.initializers import InitializerRegistry

_CHECKS = "ics_bench.subjects.check"

NORMS = Registry(
    "norm", "ics_bench.subjects.norms", "NORM", "ics_bench.norms", check="ics_bench.subjects.norm:check_norm"
)
ARCHITECTURES = Registry(
    "model", "ics_bench.subjects.architectures", "build", "ics_bench.models", check=f"{_CHECKS}:check_model"
)
DATASETS = Registry("data set", "ics_bench.subjects.data", "load", "ics_bench.data", check=f"{_CHECKS}:check_dataset")
INITIALIZERS = InitializerRegistry(
    "initializer",
    "ics_bench.subjects.initializers",
    "",
    "ics_bench.initializers",
    check=f"{_CHECKS}:check_initializer",
)

__all__ = ["ARCHITECTURES", "DATASETS", "INITIALIZERS", "NORMS"]
