"""Success and steps at one constant learning rate."""

from ics_bench.asv import TrackSuite


class ConstantRate(TrackSuite):
    """Every headline metric of the quick profile."""

    workload = "constant_rate"
