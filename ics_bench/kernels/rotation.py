"""How many buffer sets a timing rotates through, so that no arm finds its own in a cache. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

CACHE_FACTOR, GPU_CACHE_FACTOR = 4, 3
"""The rotated buffers hold this many times the last-level cache, so that no arm finds its own there."""

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Rotation:
    """Buffer sets to rotate through.

    Parameters
    ----------
    count : int
    nbytes : int
        Bytes of all of them: the working set.
    cache : int or None
        Bytes of the last-level cache, where the system tells.
    factor : int
        Times the cache that the working set should be.
    """

    count: int
    nbytes: int
    cache: int | None
    factor: int = CACHE_FACTOR

    @property
    def in_cache(self) -> bool:
        """Whether the working set is known to fit the cache, which says nothing of the memory's speed."""
        return self.cache is not None and self.nbytes < self.cache

    def warnings(self) -> tuple[str, ...]:
        """Say what a working set that is too small, or may be, does to the numbers."""
        held = f"the working set of {self.nbytes / MEBIBYTE:.0f} MiB"
        if self.cache is None:
            return (f"{held} cannot be compared with the last-level cache, whose size is unknown",)
        cache = f"the last-level cache of {self.cache / MEBIBYTE:.0f} MiB"
        if self.in_cache:
            return (f"{held} fits {cache}: cached bytes are counted as moved, so no share of the copy is scored",)
        if self.nbytes < self.factor * self.cache:
            return (f"{held} is smaller than {self.factor} × {cache}: cached bytes are counted as moved",)
        return ()


def plan_gpu_sets(set_bytes: int, arms: int, cache: int, memory: int, free: int) -> Rotation:
    """Choose how many buffer sets each arm on a GPU has: what one leaves in the cache is of no use to another.

    Parameters
    ----------
    set_bytes : int
        Bytes of the largest arm's set.
    arms : int
        Kernels and the copy.
    cache : int
        Bytes of the level-2 cache.
    memory : int
        Most bytes to use for all arms; where it does not leave the cache, so much as does.
    free : int
        Bytes that are free: half of them are used at most.
    """
    leaving = arms * (GPU_CACHE_FACTOR * cache + set_bytes)
    most = min(max(memory, leaving), free // 2)
    return plan_sets(set_bytes, cache, most // arms, GPU_CACHE_FACTOR)


def plan_sets(set_bytes: int, cache: int | None, memory: int, factor: int = CACHE_FACTOR) -> Rotation:
    """Choose how many buffer sets to rotate through.

    Parameters
    ----------
    set_bytes : int
        Bytes of one set, of all arms together.
    cache : int or None
        Bytes of the last-level cache.
    memory : int
        Most bytes to use. One set is used even if it is larger.
    factor : int
        Times the cache that all sets together should be.
    """
    wanted = memory if cache is None else factor * cache
    count = max(1, min(math.ceil(wanted / set_bytes), memory // set_bytes))
    return Rotation(count, count * set_bytes, cache, factor)
