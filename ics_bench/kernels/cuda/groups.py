"""Plans for group and instance norm: a group in the shared memory of a cluster, or by way of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ics_bench.kernels.cuda.channels import plan_channels
from ics_bench.kernels.cuda.geometry import (
    APPROXIMATIONS,
    CLUSTER_BYTES,
    CLUSTERS,
    CTYPES,
    LANES,
    TEAM_BYTES,
    Device,
    Launch,
    Plan,
    block_chain,
    ceil_div,
    held_vectors,
    log2,
    power_of_two,
    require_countable,
    sum_chain,
    sum_partials,
    vector_width,
)
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.spec import DTYPE_BYTES, Problem

MOST_THREADS = 512
"""Threads of a block: ``GROUP_THREADS`` of the source."""

GOOD_SHARE = 64 * 1024
"""Shared memory of a block up to which several blocks fit a multiprocessor, so that loads and stores overlap."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a group is laid over blocks.

    Parameters
    ----------
    width : int
        Elements a load.
    cluster : int
        Blocks a group.
    threads : int
        Threads of a block.
    warps : int
        Warps that work on one plane; backward only.
    share : int
        Vectors of a block's share of x: of the group forward, of each plane backward.
    shared_bytes : int
        Shared memory of a block.
    """

    width: int
    cluster: int
    threads: int
    warps: int
    share: int
    shared_bytes: int


def _geometry(problem: Problem, width: int, cluster: int) -> Geometry:
    members = problem.num_features // problem.num_groups
    plane = math.prod(problem.shape[2:]) // width
    vector_bytes = width * DTYPE_BYTES[problem.dtype]
    if problem.direction == "forward":
        share = ceil_div(members * plane, cluster)
        threads = min(MOST_THREADS, max(LANES, power_of_two(ceil_div(share, held_vectors(width)))))
        return Geometry(width, cluster, threads, 1, share, TEAM_BYTES + CLUSTER_BYTES + share * vector_bytes)
    share = ceil_div(plane, cluster)
    threads = min(MOST_THREADS, max(LANES, power_of_two(ceil_div(members * share, 2))))
    warps = threads // LANES // min(threads // LANES, power_of_two(members))
    caches, sums = 2 * members * share * vector_bytes, 4 * 2 * members * (warps + 1)
    return Geometry(width, cluster, threads, warps, share, TEAM_BYTES + caches + sums)


def geometry(problem: Problem, device: Device, aligned: bool) -> Geometry | None:
    """Lay a group over the fewest blocks whose shares are good, or else fit; ``None`` if it fits no cluster."""
    if problem.layout != "contiguous":
        return None
    width = vector_width(problem.dtype, aligned, math.prod(problem.shape[2:]))
    choices = CLUSTERS if device.clusters and width > 1 else (1,)
    found = [_geometry(problem, width, cluster) for cluster in choices]
    good = [one for one in found if one.shared_bytes <= min(GOOD_SHARE, device.shared_bytes)]
    fitting = [one for one in found if one.shared_bytes <= device.shared_bytes]
    return good[0] if good else fitting[-1] if fitting else None


def plan_groups(problem: Problem, device: Device, aligned: bool) -> Plan:
    """Plan group or instance norm of ``(B, C, *)``.

    Parameters
    ----------
    problem : Problem
    device : Device
    aligned : bool
        Whether x, dy and what is written begin at multiples of 16 bytes.
    """
    chosen = geometry(problem, device, aligned)
    if chosen is None:
        by_memory = plan_channels(problem, device, aligned)
        if problem.direction == "forward":
            return by_memory
        return _with_forward_moments(by_memory, problem, device, aligned)
    groups = problem.num_groups
    members = problem.num_features // groups
    positions = math.prod(problem.shape[2:])
    sizes = (np.int32(groups), np.int32(members), np.int32(positions))
    template = f"<{CTYPES[problem.dtype]}, {chosen.width}, {chosen.cluster}>"
    grid, block = (problem.shape[0] * groups * chosen.cluster, 1, 1), (chosen.threads, 1, 1)
    in_block = block_chain(chosen.threads)
    held = held_vectors(chosen.width) * chosen.width
    if problem.direction == "forward":
        steps = ceil_div(chosen.share, held_vectors(chosen.width) * chosen.threads)
        moments = held + 3 * (steps + in_block + log2(chosen.cluster)) + APPROXIMATIONS
        forward = ("x", "weight", "bias", "y", "mean", "rstd", *sizes, np.float32(problem.eps))
        launch = Launch(
            "group_norm", f"group_forward{template}", grid, block, forward, chosen.shared_bytes, chosen.cluster
        )
        return Plan((launch,), Chains(moments, 0, 0))
    batch, features = problem.shape[:2]
    require_countable(batch, f"shape {problem.shape}", "samples")
    arguments = ("x", "dy", "weight", "mean", "rstd", "dx", "partial", *sizes, np.int32(chosen.warps))
    launch = Launch(
        "group_norm", f"group_backward{template}", grid, block, arguments, chosen.shared_bytes, chosen.cluster
    )
    plane = chosen.width + ceil_div(chosen.share, chosen.warps * LANES) + log2(LANES) + chosen.warps + chosen.cluster
    sums = plane + ceil_div(members, chosen.threads) + in_block
    launches = (launch, sum_partials(batch, features, ("dweight", "dbias")))
    made = Plan(launches, Chains(0, sums, plane + sum_chain(batch)), {"partial": 2 * batch * features})
    return _with_forward_moments(made, problem, device, aligned)


def _with_forward_moments(backward: Plan, problem: Problem, device: Device, aligned: bool) -> Plan:
    """Declare the chain of the forward pass that left the statistics: it may have fitted a cluster alone."""
    forward = plan_groups(replace(problem, direction="forward"), device, aligned)
    return replace(backward, chains=replace(backward.chains, moments=forward.chains.moments))
