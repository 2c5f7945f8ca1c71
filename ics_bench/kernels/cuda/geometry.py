"""Which kernels do a problem, on what grid, with what arguments. Pure functions: no GPU, no CuPy, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ics_bench.core import UsageError
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.spec import DTYPE_BYTES

CTYPES = {"float32": "float", "bfloat16": "bf16", "float16": "f16"}
"""What the sources call the types."""

LANES = 32
"""Threads of a warp."""

VECTOR_BYTES = 16
"""Widest load of a thread."""

CLUSTERS = (1, 2, 4, 8)
"""Blocks that can share a reduction: 8 is the most that every GPU with clusters allows."""

MAX_WARPS = 32
"""Warps of the largest block."""

TEAM_BYTES, CLUSTER_BYTES = 4 * 2 * 3 * MAX_WARPS, 4 * 8
"""Shared memory of the reductions over a block and over a cluster: ``TEAM_FLOATS`` and ``CLUSTER_FLOATS``."""

APPROXIMATIONS = 3
"""Roundings, counted as additions, by which a product with 1/n and an approximate 1/√v exceed a quotient and a root
that are rounded once each: one for 1/n; two as rsqrt is off by up to 2 units in the last place (CUDA C++ Programming
Guide, mathematical functions), 4 roundings at worst, where a root and a quotient are 2."""

MOST_ELEMENTS = 2**31 - 2**16
"""What the kernels can count in 32 bits. They add before they compare: at most 65534 where a count is divided among
as many slabs as a grid has, and 4096 where a block of threads goes on to its next stretch. Rows, which all blocks
together go on by up to some 300,000 of, are counted without a sign."""

MOST_BLOCKS = 2**31 - 1
"""Blocks along x."""

Argument = str | None | np.int32 | np.uint32 | np.int64 | np.float32
"""A buffer by name, the null pointer, or a number in its C type."""

Extent = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Device:
    """What a plan depends on.

    Parameters
    ----------
    multiprocessors : int
    clusters : bool
        Whether blocks can read each other's shared memory (compute capability 9.0 and later).
    shared_bytes : int
        Most shared memory that a block may ask for.
    """

    multiprocessors: int
    clusters: bool
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel on one grid.

    Parameters
    ----------
    family : str
        Source file, without its suffix.
    kernel : str
        Name expression, such as ``group_forward<bf16, 8, 1>``.
    grid, block : tuple of 3 int
        Blocks and threads.
    arguments : tuple
        In the kernel's order.
    shared_bytes : int
        Dynamic shared memory of a block.
    cluster : int
        Neighbouring blocks that share a reduction; compiled into the kernel.
    """

    family: str
    kernel: str
    grid: Extent
    block: Extent
    arguments: tuple[Argument, ...]
    shared_bytes: int = 0
    cluster: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Launches in order, and what they need beyond inputs and outputs.

    Parameters
    ----------
    launches : tuple of Launch
    chains : Chains
        Longest chains of additions, for the error bounds.
    scratch : mapping of str to int
        Float32 numbers of each buffer between launches.
    """

    launches: tuple[Launch, ...]
    chains: Chains
    scratch: Mapping[str, int] = field(default_factory=dict)


def ceil_div(a: int, b: int) -> int:
    """Quotient, rounded up."""
    return -(-a // b)


def power_of_two(n: int) -> int:
    """Smallest power of two that is no smaller than ``n``, 1 at least."""
    return 1 << max(0, n - 1).bit_length()


def log2(n: int) -> int:
    """Levels of a pairwise sum of ``n`` terms."""
    return power_of_two(n).bit_length() - 1


def vector_width(dtype: str, aligned: bool, length: int) -> int:
    """Elements a load: 16 bytes' worth where runs of ``length`` elements and their addresses allow, else one."""
    width = VECTOR_BYTES // DTYPE_BYTES[dtype]
    return width if aligned and length % width == 0 else 1


def held_vectors(width: int) -> int:
    """Vectors that a thread holds at a time: ``held_vectors`` of the sources."""
    return 8 if width == 1 else 4


def block_chain(threads: int) -> int:
    """Count the additions of the longest chain in a sum over a block's threads."""
    return log2(threads) if threads <= LANES else log2(LANES) + log2(MAX_WARPS)


def require_countable(count: int, what: str, things: str = "elements", split: str = "batch") -> None:
    """Refuse what the kernels' 32-bit counters cannot hold.

    Raises
    ------
    UsageError
        If there are too many.
    """
    if count > MOST_ELEMENTS:
        raise UsageError(f"{what} has {count} {things}; the CUDA kernels count to {MOST_ELEMENTS}: split the {split}")


def require_grid(blocks: int, what: str) -> None:
    """Refuse more blocks than a grid has along x.

    Raises
    ------
    UsageError
        If there are too many.
    """
    if blocks > MOST_BLOCKS:
        raise UsageError(f"{what} needs {blocks} blocks; a CUDA grid has {MOST_BLOCKS}: split the batch")


SUM_COLUMNS, MOST_SUM_ROWS = 32, 16
"""Columns that a block of ``sum_partials`` adds up, and the most rows that it takes side by side."""


def _sum_rows(parts: int) -> int:
    return min(MOST_SUM_ROWS, power_of_two(parts))


def sum_partials(parts: int, columns: int, totals: tuple[str, ...]) -> Launch:
    """Add up what blocks left: ``(len(totals), parts, columns)`` to one total a column."""
    first, second = (*totals, None)[:2]
    rows = _sum_rows(parts)
    return Launch(
        "partials",
        "sum_partials",
        (ceil_div(columns, SUM_COLUMNS), len(totals), 1),
        (SUM_COLUMNS, rows, 1),
        ("partial", first, second, np.int32(parts), np.int32(columns)),
        4 * SUM_COLUMNS * rows // 2,
    )


def sum_chain(parts: int) -> int:
    """Count the additions of the longest chain in `sum_partials`."""
    return ceil_div(parts, _sum_rows(parts)) + log2(_sum_rows(parts))
