"""Drift of layers' inputs and the gradient's answer to it."""

from ics_bench.asv import TimeSuite, TrackSuite


class InternalShift(TrackSuite):
    """Drift of layers' inputs and the gradient's answer to it, at the quick profile."""

    workload = "internal_shift"
    metrics = ("drift_wasserstein", "input_drift", "gradient_shift_relative")


class InternalShiftTime(TimeSuite):
    """How long one case takes."""

    workload = "internal_shift"
