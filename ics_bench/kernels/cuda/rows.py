"""Plans for layer norm and RMS norm: a row in the registers of one block, or of a cluster of blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ics_bench.kernels.cuda.geometry import (
    CLUSTER_BYTES,
    CLUSTERS,
    CTYPES,
    LANES,
    TEAM_BYTES,
    Argument,
    Device,
    Launch,
    Plan,
    ceil_div,
    held_vectors,
    log2,
    power_of_two,
    sum_chain,
    sum_partials,
    vector_width,
)
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.spec import Problem

MOST_THREADS = 512
"""Threads of a block: ``ROW_THREADS`` of the source."""

SMALL_BLOCK = 128
"""Threads of a block that keeps several short rows at a time."""

FORWARD_THREADS, BACKWARD_THREADS = 4096, 512
"""Threads started for each multiprocessor: four times what fits forward; backward what fits 128 registers a thread,
so that each block goes on for as long as it can and leaves few partial results."""


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
        Pieces in which a block reads its stretch of a row; above 1, it reads the row twice.
    """

    width: int
    cluster: int
    threads: int
    rows: int
    chunks: int

    def clusters(self, problem: Problem, device: Device, threads: int) -> int:
        """How many clusters to start where ``threads`` are wanted on each multiprocessor."""
        block = self.threads * self.rows
        most = max(1, device.multiprocessors * max(1, threads // block) // self.cluster)
        return min(ceil_div(problem.shape[0], self.rows), most)


def geometry(problem: Problem, device: Device, aligned: bool) -> Geometry:
    """Lay a row over as few blocks as hold it in registers, and over no more threads than it fills."""
    columns = problem.num_features
    width = vector_width(problem.dtype, aligned, columns)
    held, vectors = held_vectors(width), columns // width
    choices = CLUSTERS if device.clusters and width > 1 else (1,)
    fitting = [c for c in choices if ceil_div(vectors, c) <= held * MOST_THREADS]
    cluster = fitting[0] if fitting else choices[-1]
    each = ceil_div(vectors, cluster)
    filled = max(1, ceil_div(each, held))
    threads = power_of_two(filled) if filled <= LANES else min(MOST_THREADS, LANES * ceil_div(filled, LANES))
    chunks = max(1, ceil_div(each, held * threads))
    rows = 1 if threads > LANES or cluster > 1 or chunks > 1 else SMALL_BLOCK // threads
    return Geometry(width, cluster, threads, rows, chunks)


def plan_rows(problem: Problem, device: Device, aligned: bool) -> Plan:
    """Plan layer norm or RMS norm of ``(M, N)``.

    Parameters
    ----------
    problem : Problem
    device : Device
    aligned : bool
        Whether every buffer begins at a multiple of 16 bytes.
    """
    chosen = geometry(problem, device, aligned)
    layer = problem.norm == "layer"
    rows, columns = problem.shape
    residual = ", true" if problem.residual else ""
    template = f"<{CTYPES[problem.dtype]}, {chosen.width}, {chosen.cluster}{residual}>"
    block = (chosen.threads, chosen.rows, 1)
    room = TEAM_BYTES + CLUSTER_BYTES
    held = chosen.width * held_vectors(chosen.width)
    in_block = 2 * log2(LANES) - 1 if chosen.threads > LANES else log2(chosen.threads)
    moments = held + in_block + 3 * (chosen.chunks - 1 + log2(chosen.cluster))
    sizes: tuple[Argument, ...] = (np.int64(rows), np.int32(columns))
    offset = np.float32(problem.weight_offset)
    if problem.direction == "forward":
        count = chosen.clusters(problem, device, FORWARD_THREADS)
        saved = ("mean" if layer else None, "rstd")
        numbers = (*sizes, np.float32(problem.eps), offset)
        stream = ("residual", "s") if problem.residual else (None, None)
        arguments = ("x", "weight", "bias" if layer else None, "y", *saved, *numbers, *stream)
        launch = Launch(
            "row_norm", f"row_forward{template}", (count * chosen.cluster, 1, 1), block, arguments, room, chosen.cluster
        )
        return Plan((launch,) if count else (), Chains(moments, 0, 0))
    count = chosen.clusters(problem, device, BACKWARD_THREADS)
    totals = ("dweight", "dbias") if layer else ("dweight",)
    inputs = ("x", "dy", "weight", "mean" if layer else None, "rstd", "dx", "partial")
    gathered = 4 * 2 * columns if chosen.rows > 1 else 0
    launch = Launch(
        "row_norm",
        f"row_backward{template}",
        (count * chosen.cluster, 1, 1),
        block,
        (*inputs, *sizes, offset, "ds" if problem.residual else None),
        room + gathered,
        chosen.cluster,
    )
    per_block = ceil_div(ceil_div(rows, chosen.rows), max(1, count)) + (chosen.rows if chosen.rows > 1 else 0)
    chains = Chains(moments, held * chosen.chunks + in_block + log2(chosen.cluster), per_block + sum_chain(count))
    launches = (launch,) if count else ()
    return Plan((*launches, sum_partials(count, columns, totals)), chains, {"partial": len(totals) * count * columns})
