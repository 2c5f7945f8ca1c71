"""What kernel throughput asks of the machine: memory, what lies next to the arithmetic, and a GPU's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.core.environment import private_cache_bytes

if TYPE_CHECKING:
    from ics_bench.kernels.throughput import Throughput

GIGA = 1e9

GPU_METRICS = ("vendor_share", "gpu_clock", "gpu_memory_clock", "gpu_power", "gpu_temperature")
"""Metrics that only a GPU has, and not every one."""


def free_bytes(device: str) -> int:
    """Memory that is free on a device."""
    if device == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    import torch

    return torch.cuda.mem_get_info()[0]


def on_chip_bytes(device: str) -> int:
    """Bytes that can be held next to the arithmetic; see `roof_bytes`."""
    if device == "cpu":
        return private_cache_bytes()
    import torch

    from ics_bench.kernels.gpus import cooperating_bytes, device_of

    return cooperating_bytes(device_of(torch.cuda.get_device_properties()))


def of_the_gpu(timed: Throughput, bandwidth: float, device: str) -> dict[str, float]:
    """Give what a GPU alone has: the share of its datasheet's bandwidth, and its state at work."""
    if timed.state is None:
        return {}
    import torch

    from ics_bench.kernels.gpus import VENDOR_BANDWIDTH

    state, vendor = timed.state, VENDOR_BANDWIDTH.get(torch.cuda.get_device_name(device))
    found = {
        "vendor_share": bandwidth * GIGA / vendor if vendor else None,
        "gpu_clock": state.clock_mhz,
        "gpu_memory_clock": state.memory_clock_mhz,
        "gpu_power": state.power_watts,
        "gpu_temperature": state.temperature_celsius,
    }
    return {name: value for name, value in found.items() if value is not None}
