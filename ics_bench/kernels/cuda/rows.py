"""Plans for layer norm and RMS norm: a row in the shared memory of a block, or of a cluster of blocks, or in chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ics_bench.kernels.cuda.geometry import (
    APPROXIMATIONS,
    CLUSTER_BYTES,
    CLUSTERS,
    CTYPES,
    LANES,
    TEAM_BYTES,
    VECTOR_BYTES,
    Argument,
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
from ics_bench.kernels.spec import Direction, Problem

MOST_THREADS: Mapping[Direction, int] = {"forward": 1024, "backward": 512}
"""Threads of a block: ``FORWARD_THREADS`` and ``BACKWARD_THREADS`` of the source."""

SUM_THREADS = 512
"""Threads of a block that adds a residual and shares its rows with others: more registers, or it would spill some."""

LONG_THREADS = 512
"""Threads of a block that reads rows in chunks."""

SMALL_BLOCK = 128
"""Threads of a block that keeps several short rows at a time: ``SMALL_BLOCK`` of the source."""

RESIDENT_THREADS: Mapping[Direction, int] = {"forward": 1024, "backward": 512}
"""Threads that a multiprocessor holds, of kernels that take 64 registers a thread and 128."""

SMALL_RESIDENT = 6
"""Blocks that a multiprocessor holds forward whose rows are parts of a warp: ``RESIDENT`` of the source."""

WAVES: Mapping[Direction, int] = {"forward": 2, "backward": 1}
"""Times as many blocks as fit: forward for an even end; backward none is started anew, so that few partial results are
left."""

RESERVED_BYTES = 1024
"""Shared memory of a multiprocessor that each block takes besides its own (CUDA C++ Programming Guide, compute
capability 8 and 9)."""

CLUSTERED = 0.8
"""Share of the multiprocessors that clusters of 4 or 8 are sure to find, as each lies in one GPC and these differ. An
H200 of 132 holds 13 to 15 clusters of 8: times of 16, 32 and 64 are 1 : 0.76 : 0.67 (reports/h200/grid_sweep.txt). One
too many would double the time."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How rows are laid over blocks.

    Parameters
    ----------
    width : int
        Elements a load.
    cluster : int
        Blocks a row.
    threads : int
        Threads of a block that share a row.
    rows : int
        Rows that a block keeps at a time.
    chunks : int
        Pieces in which a block reads its stretch of a row, where that is long; else 1, and it is read once.
    long : bool
        Whether no cluster holds a row.
    """

    width: int
    cluster: int
    threads: int
    rows: int
    chunks: int
    long: bool

    def clusters(self, problem: Problem, device: Device) -> int:
        """Count the clusters to start: what fits, and no more than there are rows for."""
        if self.cluster == 1:
            most = self._blocks(problem, device)
        else:
            share = CLUSTERED if self.cluster > 2 else 1.0  # multiprocessors come in pairs
            most = max(1, int(share * device.multiprocessors) // self.cluster)
        return min(ceil_div(problem.shape[0], self.rows), most)

    def _blocks(self, problem: Problem, device: Device) -> int:
        room = RESERVED_BYTES + self.shared_bytes(problem)
        by_registers = RESIDENT_THREADS[problem.direction] // (self.threads * self.rows)
        if problem.direction == "forward" and self.threads < LANES:
            by_registers = min(by_registers, SMALL_RESIDENT)
        resident = min(by_registers, (device.shared_bytes + RESERVED_BYTES) // room)
        return device.multiprocessors * max(1, resident) * WAVES[problem.direction]

    def shared_bytes(self, problem: Problem) -> int:
        """Count the shared memory of a block."""
        slots = 0 if self.long else self.threads * self.rows * thread_bytes(problem, self.width)
        if problem.direction == "backward" and self.rows > 1:
            slots = max(slots, 4 * 2 * problem.num_features)  # where a block's rows add up their parameters' gradients
        return TEAM_BYTES + CLUSTER_BYTES + slots

    def owner(self) -> str:
        """Name what a row belongs to as the source does."""
        if self.long:
            return str(self.cluster)
        return "PartOfWarp" if self.threads < LANES else f"Blocks<{self.cluster}>"


def thread_bytes(problem: Problem, width: int) -> int:
    """Bytes of shared memory that a thread needs: two rows of each tensor that is read twice, one of others."""
    tensors = (2 if problem.direction == "forward" else 4) + problem.residual
    return 0 if width == 1 else tensors * held_vectors(width) * VECTOR_BYTES


def geometry(problem: Problem, device: Device, aligned: bool) -> Geometry:
    """Lay a row over as few blocks as hold it, and over no more threads than it fills."""
    columns = problem.num_features
    width = vector_width(problem.dtype, aligned, columns)
    held, vectors = held_vectors(width), columns // width
    choices = CLUSTERS if device.clusters and width > 1 else (1,)
    fitting = (
        size for size in choices if ceil_div(vectors, size) <= held * _most_threads(problem, device, width, size)
    )
    cluster = next(fitting, None)
    if cluster is None:
        each = ceil_div(vectors, choices[-1])
        return Geometry(width, choices[-1], LONG_THREADS, 1, ceil_div(each, held * LONG_THREADS), long=True)
    filled = max(1, ceil_div(ceil_div(vectors, cluster), held))
    threads = power_of_two(filled) if filled <= LANES else LANES * ceil_div(filled, LANES)
    rows = SMALL_BLOCK // threads if threads <= LANES and cluster == 1 else 1
    return Geometry(width, cluster, threads, rows, 1, long=False)


def _most_threads(problem: Problem, device: Device, width: int, cluster: int) -> int:
    most = MOST_THREADS[problem.direction]
    if problem.residual and problem.direction == "forward" and cluster > 1:
        most = min(most, SUM_THREADS)
    if width == 1:
        return most
    fitting = (device.shared_bytes - TEAM_BYTES - CLUSTER_BYTES) // thread_bytes(problem, width)
    return min(most, fitting // LANES * LANES)


def plan_rows(problem: Problem, device: Device, aligned: bool) -> Plan:
    """Plan layer norm or RMS norm of ``(M, N)``.

    Parameters
    ----------
    problem : Problem
    device : Device
    aligned : bool
        Whether every buffer begins at a multiple of 16 bytes.
    """
    rows, columns = problem.shape
    require_countable(rows, f"shape {problem.shape}", "rows")
    chosen = geometry(problem, device, aligned)
    count = chosen.clusters(problem, device)
    sizes: tuple[Argument, ...] = (np.uint32(rows), np.int32(columns), np.float32(1.0 / columns))
    offset = np.float32(problem.weight_offset)
    layer = problem.norm == "layer"
    if problem.direction == "forward":
        saved = ("mean" if layer else None, "rstd")
        stream = ("residual", "s") if problem.residual else (None, None)
        given = ("x", "weight", "bias" if layer else None, "y", *saved)
        launch = _launch(problem, chosen, count, (*given, *sizes, np.float32(problem.eps), offset, *stream))
        return Plan((launch,) if count else (), Chains(_moments_chain(chosen), 0, 0))
    totals = ("dweight", "dbias") if layer else ("dweight",)
    inputs = ("x", "dy", "weight", "mean" if layer else None, "rstd", "dx", "partial")
    launch = _launch(problem, chosen, count, (*inputs, *sizes, offset, "ds" if problem.residual else None))
    taken = _moments_chain(geometry(replace(problem, direction="forward"), device, aligned))
    held = chosen.width * held_vectors(chosen.width)
    in_thread = held * chosen.chunks if chosen.long else chosen.width + held_vectors(chosen.width)
    sums = in_thread + block_chain(chosen.threads) + log2(chosen.cluster) + 1  # and the product with 1/n
    per_block = ceil_div(ceil_div(rows, chosen.rows), max(1, count)) + (chosen.rows if chosen.rows > 1 else 0)
    chains = Chains(taken, sums, per_block + sum_chain(count))
    launches = (launch,) if count else ()
    return Plan((*launches, sum_partials(count, columns, totals)), chains, {"partial": len(totals) * count * columns})


def _launch(problem: Problem, chosen: Geometry, count: int, arguments: tuple[Argument, ...]) -> Launch:
    family, stem = ("long_rows", "long") if chosen.long else ("row_norm", "row")
    norm, residual = ("Layer" if problem.norm == "layer" else "Rms"), ", true" if problem.residual else ""
    kernel = f"{stem}_{problem.direction}<{CTYPES[problem.dtype]}, {chosen.width}, {chosen.owner()}, {norm}{residual}>"
    return Launch(
        family,
        kernel,
        (count * chosen.cluster, 1, 1),
        (chosen.threads, chosen.rows, 1),
        arguments,
        chosen.shared_bytes(problem),
        chosen.cluster,
    )


def _moments_chain(chosen: Geometry) -> int:
    """Count the additions of the mean's or the variance's longest chain, and three roundings for each merge."""
    in_thread = chosen.width + held_vectors(chosen.width)
    merges = chosen.chunks - 1 + log2(chosen.cluster)
    return in_thread + block_chain(chosen.threads) + 3 * merges + APPROXIMATIONS
