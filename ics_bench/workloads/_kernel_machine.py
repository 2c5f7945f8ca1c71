"""What kernel throughput says of a GPU: its share of the datasheet's bandwidth, and its state at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.kernels.capacity import GIGA, vendor_bandwidth

if TYPE_CHECKING:
    from ics_bench.kernels.throughput import Throughput

GPU_METRICS = ("vendor_share", "gpu_clock", "gpu_memory_clock", "gpu_power", "gpu_temperature")
"""Metrics that only a GPU has, and not every one."""


def of_the_gpu(timed: Throughput, bandwidth: float, device: str) -> dict[str, float]:
    """Give what a GPU alone has: the share of its datasheet's bandwidth, and its state at work."""
    if timed.state is None:
        return {}
    state, vendor = timed.state, vendor_bandwidth(device)
    found = {
        "vendor_share": bandwidth * GIGA / vendor if vendor else None,
        "gpu_clock": state.clock_mhz,
        "gpu_memory_clock": state.memory_clock_mhz,
        "gpu_power": state.power_watts,
        "gpu_temperature": state.temperature_celsius,
    }
    return {name: value for name, value in found.items() if value is not None}
