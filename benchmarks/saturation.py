"""Saturated units and the gradient's rate per layer as a perceptron trains."""

from ics_bench.asv import TimeSuite, TrackSuite


class Saturation(TrackSuite):
    """Where units, signal and gradient are after 200 steps, at the quick profile."""

    workload = "saturation"
    metrics = ("saturated_fraction", "forward_rate_error", "backward_rate_error", "steps_to_target")


class SaturationTime(TimeSuite):
    """How long two nets take to train under observation."""

    workload = "saturation"
