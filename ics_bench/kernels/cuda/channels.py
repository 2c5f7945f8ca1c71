"""Plans for batch norm, and for groups too large for a cluster: statistics, coefficients, and their application."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.geometry import (
    APPROXIMATIONS,
    CTYPES,
    LANES,
    TEAM_BYTES,
    Argument,
    Device,
    Extent,
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
from ics_bench.kernels.spec import Problem

THREADS = 256
"""Threads of a block: ``CHANNEL_THREADS`` of the source."""

GATHERING_THREADS = 256
"""Threads of a block between the large kernels: ``GATHERING_THREADS`` of the source."""

GATHERED_ITEMS, GATHERING_WARPS = 4, 4
"""Partial results that a thread gathers, if a block has as many threads; means of a block that has a warp for each."""

BLOCKS = 8
"""Blocks wanted on each multiprocessor."""

LEAST_COLUMN = 64
"""Samples from which a position's partial results are few beside its elements."""

MOST_COEFFICIENTS = 4
"""Coefficients of a set, of the backward pass."""

MOST_GRID = 65535
"""Blocks along y and z."""


@dataclass(frozen=True, slots=True)
class Sets:
    """What has coefficients of its own, and how blocks are laid over it.

    Parameters
    ----------
    layout : {"Planes", "Columns"}
    width : int
        Elements a load.
    outer, inner : int
        Planes of a set and positions of a plane; or rows of a sample and columns.
    sets : int
        Channels, channels of every sample, or positions of every channel.
    members : int
        Neighbouring sets that share a mean.
    spread : int
        Neighbouring sets that share a feature's parameters.
    grid, block : tuple of 3 int
    slabs : int
        Blocks a set.
    steps : int
        Chunks that a thread reads.
    """

    layout: str
    width: int
    outer: int
    inner: int
    sets: int
    members: int
    spread: int
    grid: Extent
    block: Extent
    slabs: int
    steps: int

    def launch(
        self, kernel: str, dtype: str, *arguments: Argument, shared_bytes: int = 0, members: bool = False
    ) -> Launch:
        """Launch one of the large kernels."""
        sizes = [np.int32(n) for n in (self.outer, self.inner, self.slabs, *([self.members] if members else []))]
        name = f"{kernel}<{CTYPES[dtype]}, {self.width}, {self.layout}>"
        return Launch("channel_norm", name, self.grid, self.block, (*arguments, *sizes), shared_bytes)

    def fold_bytes(self, floats: int) -> int:
        """Shared memory to add up ``floats`` numbers a thread: over a block of planes, or over a block's rows."""
        return TEAM_BYTES if self.layout == "Planes" else 4 * floats * THREADS // 2

    def block_chain(self) -> int:
        """Count the merges within a block."""
        return block_chain(self.block[0]) if self.layout == "Planes" else log2(self.block[1])

    def gathering(self) -> Extent:
        """Threads for each mean, and means of a block."""
        threads = power_of_two(ceil_div(self.slabs * self.members, GATHERED_ITEMS))
        if threads <= LANES:
            return LANES, GATHERING_WARPS, 1
        return min(threads, GATHERING_THREADS), 1, 1

    def gather_chain(self) -> int:
        """Count the merges between blocks."""
        threads = self.gathering()[0]
        return ceil_div(self.slabs * self.members, threads) + block_chain(threads)


def _slabs(device: Device, blocks: int, most: int) -> int:
    return max(1, min(ceil_div(BLOCKS * device.multiprocessors, max(1, blocks)), most, MOST_GRID))


def sets_of(problem: Problem, device: Device, aligned: bool) -> Sets:
    """Lay blocks over a problem's sets.

    Raises
    ------
    UsageError
        If a set, the number of coefficients, or the number of samples in channels-last layout, is more than the
        kernels count to.
    """
    seen = _sets_of(problem, device, aligned)
    require_countable(MOST_COEFFICIENTS * seen.sets, f"shape {problem.shape}", "coefficients")
    return seen


def _sets_of(problem: Problem, device: Device, aligned: bool) -> Sets:
    batch, features = problem.shape[:2]
    positions = math.prod(problem.shape[2:])
    per_sample = problem.norm != "batch"
    members = features // problem.num_groups if per_sample else 1
    require_countable(problem.elements // max(1, problem.reduction_sets), f"a mean over shape {problem.shape}")
    contiguous = problem.layout == "contiguous" and len(problem.shape) > 2
    width = vector_width(problem.dtype, aligned, positions if contiguous else features)
    if contiguous and _by_position(problem, aligned, width):
        width = vector_width(problem.dtype, aligned, features * positions)
        return _columns(device, width, 1, batch, features * positions, positions, positions)
    if contiguous:
        sets, planes = (batch * features, 1) if per_sample else (features, batch)
        return _planes(device, width, sets, planes, positions, members)
    samples, rows = (batch, positions) if per_sample else (1, batch * positions)
    return _columns(device, width, samples, rows, features, members, 1)


def _by_position(problem: Problem, aligned: bool, width: int) -> bool:
    """Whether to take each position of a channel for a column, so that loads are wide where planes are not."""
    if problem.norm != "batch" or width > 1 or problem.shape[0] < LEAST_COLUMN:
        return False
    return vector_width(problem.dtype, aligned, problem.elements // problem.shape[0]) > 1


def _planes(device: Device, width: int, sets: int, planes: int, positions: int, members: int) -> Sets:
    vectors, held = planes * (positions // width), held_vectors(width)
    threads = min(THREADS, max(LANES, power_of_two(ceil_div(vectors, held))))
    slabs = _slabs(device, sets, ceil_div(vectors, held * threads))
    steps = ceil_div(ceil_div(vectors, slabs), held * threads)
    grid, block = (sets, slabs, 1), (threads, 1, 1)
    return Sets("Planes", width, planes, positions, sets, members, 1, grid, block, slabs, steps)


def _columns(device: Device, width: int, samples: int, rows: int, columns: int, members: int, spread: int) -> Sets:
    if samples > MOST_GRID:
        raise UsageError(
            f"{samples} samples with the channels last; the CUDA kernels take {MOST_GRID}: split the batch"
        )
    vectors, held = columns // width, held_vectors(width)
    across = min(LANES, power_of_two(vectors))
    down = THREADS // across
    blocks = ceil_div(vectors, across)
    slabs = _slabs(device, blocks * samples, ceil_div(rows, held * down))
    steps = ceil_div(ceil_div(rows, slabs), held * down)
    grid, block = (blocks, slabs, samples), (across, down, 1)
    return Sets("Columns", width, rows, columns, samples * columns, members, spread, grid, block, slabs, steps)


def plan_channels(problem: Problem, device: Device, aligned: bool) -> Plan:
    """Plan batch norm, or group and instance norm by way of memory.

    Parameters
    ----------
    problem : Problem
    device : Device
    aligned : bool
        Whether x, dy and what is written begin at multiples of 16 bytes.

    Raises
    ------
    UsageError
        For batch norm in training on a single value a channel.
    """
    if problem.norm == "batch" and problem.training and problem.elements == problem.num_features:
        raise UsageError(f"shape {problem.shape}: batch norm in training needs more than one value a channel")
    seen = sets_of(problem, device, aligned)
    if problem.norm == "batch" and not problem.training:
        return _evaluation(problem, seen)
    return _forward(problem, seen) if problem.direction == "forward" else _backward(problem, seen)


def _gathering(kernel: str, seen: Sets, arguments: tuple[Argument, ...]) -> Launch:
    block = seen.gathering()
    grid = (ceil_div(seen.sets // seen.members, block[1]), 1, 1)
    return Launch("channel_norm", kernel, grid, block, arguments, TEAM_BYTES)


def _sizes(problem: Problem, seen: Sets) -> tuple[np.int32, ...]:
    return tuple(np.int32(n) for n in (seen.members, seen.spread, problem.num_features, seen.sets, seen.slabs))


def _moments_chain(seen: Sets) -> int:
    """Count serial sums within a chunk, and three roundings for each merge of chunks, threads, warps and blocks."""
    serial = held_vectors(seen.width) * (seen.width if seen.layout == "Planes" else 1)
    return serial + 3 * (seen.steps + seen.block_chain() + seen.gather_chain()) + APPROXIMATIONS


def _forward(problem: Problem, seen: Sets) -> Plan:
    components = 2 * (seen.width if seen.layout == "Columns" else 1) + 1
    moments = seen.launch("channel_moments", problem.dtype, "x", "partial", shared_bytes=seen.fold_bytes(components))
    running = ("running_mean", "running_var") if problem.norm == "batch" else (None, None)
    arguments: tuple[Argument, ...] = ("partial", "weight", "bias", *running, "mean", "rstd", "coefficients")
    numbers: tuple[Argument, ...] = (*_sizes(problem, seen), np.float32(problem.momentum), np.float32(problem.eps))
    apply = seen.launch("channel_forward", problem.dtype, "x", "coefficients", "y")
    launches = (moments, _gathering("channel_statistics", seen, (*arguments, *numbers)), apply)
    scratch = {"partial": 3 * seen.slabs * seen.sets, "coefficients": 3 * seen.sets}
    return Plan(launches, Chains(_moments_chain(seen), 0, 0), scratch)


def _backward(problem: Problem, seen: Sets) -> Plan:
    columns = seen.width if seen.layout == "Columns" else 1
    arguments: tuple[Argument, ...] = ("x", "dy", "mean", "rstd", "partial")
    shared = seen.fold_bytes(2 * columns)
    sums = seen.launch("channel_sums", problem.dtype, *arguments, shared_bytes=shared, members=True)
    batch = problem.norm == "batch"
    totals = ("dweight", "dbias") if batch else (None, None)
    count = np.float32(problem.elements // problem.reduction_sets)
    gradients = ("partial", "weight", "mean", "rstd", *totals, "coefficients", *_sizes(problem, seen), count)
    gathered = _gathering("channel_gradients", seen, gradients)
    apply = seen.launch("channel_backward", problem.dtype, "x", "dy", "coefficients", "dx")
    serial = held_vectors(seen.width) * (seen.width if seen.layout == "Planes" else 1)
    chain = serial + seen.steps + seen.block_chain()
    parts = seen.slabs * seen.sets // problem.num_features
    launches = [sums, gathered, apply]
    if not batch:
        launches.append(sum_partials(parts, problem.num_features, ("dweight", "dbias")))
    parameters = chain + (seen.gather_chain() if batch else sum_chain(parts))
    chains = Chains(_moments_chain(seen), chain + seen.gather_chain(), parameters)
    scratch = {"partial": 2 * seen.slabs * seen.sets, "coefficients": MOST_COEFFICIENTS * seen.sets}
    return Plan(tuple(launches), chains, scratch)


def _evaluation(problem: Problem, seen: Sets) -> Plan:
    forward = problem.direction == "forward"
    source, target = ("x", "y") if forward else ("dy", "dx")
    given: tuple[Argument, ...] = ("bias", "running_mean") if forward else (None, None)
    arguments = (
        "weight",
        *given,
        "running_var",
        "coefficients",
        np.int32(seen.spread),
        np.int32(seen.sets),
        np.float32(problem.eps),
    )
    grid = (ceil_div(seen.sets, GATHERING_THREADS), 1, 1)
    prepare = Launch("channel_norm", "channel_evaluation", grid, (GATHERING_THREADS, 1, 1), arguments)
    apply = seen.launch("channel_forward", problem.dtype, source, "coefficients", target)
    return Plan((prepare, apply), Chains(APPROXIMATIONS, 0, 0), {"coefficients": 3 * seen.sets})
