"""What a device has to offer: free memory, what lies next to the arithmetic, its datasheet's bandwidth."""

from __future__ import annotations

import gc
import sys

from ics_bench.core.environment import private_cache_bytes

GIGA = 1e9


def free_bytes(device: str) -> int:
    """Memory that is free on a device; what torch keeps on a GPU for its next tensors is."""
    if device == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    import torch

    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def release(device: str) -> None:
    """Give back what torch and CuPy keep on a GPU for later: it is of no use to the other, or to larger tensors."""
    if device == "cpu":
        return
    import torch

    gc.collect()  # graphs and closures refer to each other
    torch.cuda.empty_cache()
    if "cupy" in sys.modules:
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()


def on_chip_bytes(device: str) -> int:
    """Bytes that can be held next to the arithmetic; see `ics_bench.kernels.spec.roof_bytes`."""
    if device == "cpu":
        return private_cache_bytes()
    import torch

    from ics_bench.kernels.gpus import cooperating_bytes, device_of

    return cooperating_bytes(device_of(torch.cuda.get_device_properties(device)))


def vendor_bandwidth(device: str) -> float | None:
    """Bytes per second by the datasheet of a GPU that is known by name."""
    if device == "cpu":
        return None
    import torch

    from ics_bench.kernels.gpus import VENDOR_BANDWIDTH

    return VENDOR_BANDWIDTH.get(torch.cuda.get_device_name(device))
