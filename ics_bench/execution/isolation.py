"""Gives each task the same process state, whatever ran before it, and puts the caller's back afterwards."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager

from ics_bench.core import Workload
from ics_bench.core.environment import usable_cores

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD = 32 << 20
"""The largest that glibc takes on 64-bit machines."""


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for reuse; does nothing with another C library.

    By default every activation of a training step comes from the kernel and goes back to it, and the
    page faults take up to a third of the step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def threads_of(workload: Workload) -> int:
    """Threads that a workload computes with.

    One, so that results are the same in any executor and two processes use two cores; an exclusive
    workload, which has the machine to itself, takes all.
    """
    return usable_cores() if workload.exclusive else 1


@contextmanager
def isolated(threads: int, flush_denormal: bool, seed: int) -> Iterator[None]:
    """Set torch's threads, denormals, default dtype and gradient mode, and seed every global generator.

    Our own draws come from generators of their own; the global ones are for factories of others.
    """
    import numpy as np
    import torch

    before = (torch.get_num_threads(), torch.get_default_dtype(), random.getstate(), np.random.get_state())
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
        torch.set_flush_denormal(flush_denormal)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            # Flushing ends before threads start: workers keep the setting that they start under.
            torch.set_flush_denormal(False)
            torch.set_default_dtype(before[1])
            torch.set_num_threads(before[0])
            random.setstate(before[2])
            np.random.set_state(before[3])
