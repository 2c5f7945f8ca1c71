"""Subnormal numbers: whether the processor keeps them, and how to make it keep them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_GRAIN = 32768
"""Elements from which torch hands a thread its own part of an elementwise operation (at::internal::GRAIN_SIZE)."""


def flushes_denormals(elements: int = 1) -> bool:
    """Whether halving the smallest normal float64 gives zero in any of ``elements`` entries."""
    tiny = torch.full((elements,), torch.finfo(torch.float64).tiny, dtype=torch.float64)
    return bool((tiny * 0.5 == 0).any())


@contextmanager
def denormals_kept() -> Iterator[bool]:
    """Turn the flushing of subnormal numbers off, and back to what it was afterwards.

    The setting belongs to a thread, and worker threads inherit it when they start: it cannot be taken
    back from workers that started under flushing.

    Yields
    ------
    bool
        Whether every thread of torch's pool keeps subnormal numbers now.
    """
    before = flushes_denormals()
    torch.set_flush_denormal(False)
    try:
        yield not flushes_denormals(2 * _GRAIN * torch.get_num_threads())
    finally:
        torch.set_flush_denormal(before)
