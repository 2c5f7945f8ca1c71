"""Moments through one linear layer, and of its gradients."""

from ics_bench.asv import TimeSuite, TrackSuite


class MomentPropagation(TrackSuite):
    """How far gradients' second moments are from the product of their factors', at the quick profile."""

    workload = "moment_propagation"
    metrics = ("kronecker_error",)


class MomentPropagationTime(TimeSuite):
    """How long one experiment takes."""

    workload = "moment_propagation"
