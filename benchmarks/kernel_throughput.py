"""Bandwidth of the normalization kernels."""

from ics_bench.asv import TrackSuite


class KernelThroughput(TrackSuite):
    """The quick profile, without ``bandwidth``, which is ``time`` in another unit."""

    workload = "kernel_throughput"
    metrics = ("time", "copy_share", "error_over_bound")
