"""Which kernels do a problem, on what grid, with what arguments."""

from __future__ import annotations

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.channels import plan_channels
from ics_bench.kernels.cuda.geometry import Device, Plan, require_countable, require_grid, sum_partials
from ics_bench.kernels.cuda.groups import plan_groups
from ics_bench.kernels.cuda.rows import plan_rows
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.spec import GROUP_NORMS, ROW_NORMS, TENSOR_OUTPUTS, Problem


def plan(problem: Problem, device: Device, aligned: bool) -> Plan:
    """Plan a problem. No GPU, CuPy or torch is asked.

    Parameters
    ----------
    problem : Problem
    device : Device
    aligned : bool
        Whether every buffer begins at a multiple of 16 bytes.

    Raises
    ------
    UsageError
        If a set has more elements, or there are more sets, than the kernels count to; if a grid would have too many
        blocks; or if batch norm in training has too few values.
    """
    require_countable(problem.num_features, f"shape {problem.shape}", "features", split="features")
    if problem.elements == 0:
        return _nothing(problem)
    if problem.norm in ROW_NORMS:
        made = plan_rows(problem, device, aligned)
    else:
        made = (plan_groups if problem.norm in GROUP_NORMS else plan_channels)(problem, device, aligned)
    for launch in made.launches:
        require_grid(launch.grid[0], f"{problem.norm} norm of shape {problem.shape}")
    return made


def longest_chains(problem: Problem, device: Device) -> Chains:
    """Bound the chains of additions wherever the buffers begin: odd addresses have a plan of their own."""
    return plan(problem, device, aligned=True).chains.covering(plan(problem, device, aligned=False).chains)


def _nothing(problem: Problem) -> Plan:
    """Gradients of the parameters are zero; all else is empty."""
    if problem.norm == "batch" and problem.training:
        raise UsageError(f"shape {problem.shape}: batch norm in training needs more than one value a channel")
    totals = tuple(name for name in problem.outputs if name not in TENSOR_OUTPUTS) if problem.num_features else ()
    launches = (sum_partials(0, problem.num_features, totals),) if totals else ()
    return Plan(launches, Chains(0, 0, 0), {"partial": 0} if totals else {})
