"""What is known of a GPU: its memory's datasheet speed, and what cooperating blocks can hold. No torch."""

from __future__ import annotations

from typing import Any

from ics_bench.kernels.cuda.geometry import CLUSTERS, Device

VENDOR_BANDWIDTH = {
    "NVIDIA A100-SXM4-40GB": 1.555e12,
    "NVIDIA A100-SXM4-80GB": 2.039e12,
    "NVIDIA A100 80GB PCIe": 1.935e12,
    "NVIDIA H100 PCIe": 2.0e12,
    "NVIDIA H100 80GB HBM3": 3.35e12,
    "NVIDIA H200": 4.8e12,
    "NVIDIA B200": 8.0e12,
}
"""Bytes per second by the vendor's datasheets, by the name that the driver gives. An unknown GPU has none."""

REGISTER_BYTES = 4 * 65536
"""Registers of a multiprocessor, on every GPU with compute capability 8.0 to 10.0."""

LATENCY_BYTES = 256 * 10**6
"""A problem that moves less is over before the memory is at full speed: its time is a latency."""


CLUSTER_CAPABILITY = 9
"""Major compute capability from which blocks can read each other's shared memory."""


def device_of(properties: Any) -> Device:
    """Read what plans depend on off torch's properties of a GPU."""
    return Device(
        properties.multi_processor_count,
        properties.major >= CLUSTER_CAPABILITY,
        getattr(properties, "shared_memory_per_block_optin", properties.shared_memory_per_block),
    )


def cooperating_bytes(device: Device) -> int:
    """Bytes that the blocks which can share a reduction hold at most: a cluster, or one block without clusters."""
    blocks = CLUSTERS[-1] if device.clusters else 1
    return blocks * (device.shared_bytes + REGISTER_BYTES)
