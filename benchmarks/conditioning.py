"""Condition numbers of real inputs, by preprocessing."""

from ics_bench.asv import TimeSuite, TrackSuite


class Conditioning(TrackSuite):
    """Condition number and steps of gradient descent, at the quick profile."""

    workload = "conditioning"
    metrics = ("condition_number", "gd_steps")


class ConditioningTime(TimeSuite):
    """How long one spectrum takes."""

    workload = "conditioning"
