"""Bandwidth of the normalization kernels."""

from ics_bench.asv import TrackSuite


class KernelThroughput(TrackSuite):
    """The quick profile: time and error. ``bandwidth`` is the time in another unit; shares need a larger profile."""

    workload = "kernel_throughput"
    cases = {"provider": "torch_eager"}  # noqa: RUF012
    metrics = ("time", "error_over_bound")


class KernelThroughputCuda(TrackSuite):
    """Our kernels on a GPU; every case is skipped, with its reason, where there is none."""

    workload = "kernel_throughput"
    device = "cuda"
    cases = {"provider": "cuda"}  # noqa: RUF012
    metrics = ("time",)
