"""Smoothness of the loss along the steps of training."""

from ics_bench.asv import TimeSuite, TrackSuite


class Landscape(TrackSuite):
    """How far loss and gradient vary along a step, and how far the loss is predictable, at the quick profile."""

    workload = "landscape"
    metrics = (
        "loss_range",
        "gradient_difference",
        "relative_gradient_difference",
        "beta",
        "lr_beta",
        "linear_step",
        "linear_decrease",
        "matched_beta",
        "matched_linear_step",
        "matched_step",
    )


class LandscapeTime(TimeSuite):
    """How long one case takes to train and to walk."""

    workload = "landscape"
