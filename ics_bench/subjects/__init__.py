"""What gets compared. Each kind of subject is open: built in, by entry point, or ``module:attribute``."""

from ics_bench.core.registry import Registry
from ics_bench.subjects.initializers import InitializerRegistry
from ics_bench.subjects.optimizers import OptimizerRegistry

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
OPTIMIZERS = OptimizerRegistry(
    "optimizer",
    "ics_bench.subjects.optimizers",
    "OPTIMIZER",
    "ics_bench.optimizers",
    check="ics_bench.subjects.optimizer:check_optimizer",
)

__all__ = ["ARCHITECTURES", "DATASETS", "INITIALIZERS", "NORMS", "OPTIMIZERS"]
