"""The ceiling: our own copy, 16 bytes a load, by which kernels are measured."""

from __future__ import annotations

import numpy as np

from ics_bench.kernels.cuda.geometry import VECTOR_BYTES, Launch, Plan, ceil_div
from ics_bench.kernels.provider import Chains

THREADS, VECTORS = 512, 4
"""Threads of a block, and vectors that each copies: ``COPY_VECTORS`` of the source."""


def plan_copy(nbytes: int) -> Plan:
    """Plan to copy ``nbytes``, a multiple of 16, from the buffer ``x`` to the buffer ``y``."""
    vectors, rest = divmod(nbytes, VECTOR_BYTES)
    if rest or not vectors:
        raise ValueError(f"{nbytes} bytes are not a positive multiple of {VECTOR_BYTES}")
    grid = (ceil_div(vectors, THREADS * VECTORS), 1, 1)
    launch = Launch("copy", "copy", grid, (THREADS, 1, 1), ("x", "y", np.int64(vectors)))
    return Plan((launch,), Chains(0, 0, 0))
