"""Where a library's allocations come from while it is timed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of glibc's ``mallopt(3)``."""

_MOST_MMAP_THRESHOLD, _DEFAULT_MMAP_MAX = 32 * 2**20, 65536
"""Where glibc's own adjustment of the threshold ends, and how many blocks of their own it maps at most."""


@contextmanager
def warm_heap() -> Iterator[bool]:
    """Keep freed memory meanwhile: what a library allocates for its outputs was touched before, like a caller's buffer.

    The C library otherwise gives large blocks back to the system when they are freed, and each next one has its pages
    mapped, and zeroed, within the time. Yields whether it could be told so: glibc can (``mallopt(3)``). Afterwards it
    gives back what is free, with the thresholds that its own adjustment ends at.
    """
    try:
        libc = ctypes.CDLL(None)
        told = bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1))
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        yield False
        return
    try:
        yield told
    finally:
        libc.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
        libc.mallopt(_MMAP_THRESHOLD, _MOST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _MOST_MMAP_THRESHOLD)
        libc.malloc_trim(0)
