"""Workloads, one file each: which cases, which subjects, which probes, which metrics."""

from ics_bench.core.errors import UsageError
from ics_bench.core.registry import Registry
from ics_bench.core.workload import Workload

WORKLOADS = Registry("workload", "ics_bench.workloads", "WORKLOAD", "ics_bench.workloads")


def load_workload(name: str) -> Workload:
    """Find a workload by name.

    Raises
    ------
    UsageError
        If the name is unknown or stands for something else.
    """
    found = WORKLOADS.load(name)
    if not isinstance(found, Workload):
        raise UsageError(f"workload {name!r} is {found!r}; expected an instance of ics_bench.core.Workload")
    return found
