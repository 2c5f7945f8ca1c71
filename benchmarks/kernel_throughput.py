"""Bandwidth of the normalization kernels."""

from ics_bench.asv import TrackSuite


class KernelThroughput(TrackSuite):
    """The quick profile: time and error. ``bandwidth`` is the time in another unit; shares need a larger profile."""

    workload = "kernel_throughput"
    metrics = ("time", "error_over_bound")
