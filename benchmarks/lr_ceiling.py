"""Largest stable and largest trainable learning rate."""

from ics_bench.asv import TimeSuite, TrackSuite


class LrCeiling(TrackSuite):
    """Every headline metric of the quick profile."""

    workload = "lr_ceiling"


class LrCeilingTime(TimeSuite):
    """How long one ceiling takes to find."""

    workload = "lr_ceiling"
    cases = {"depth": 3}  # noqa: RUF012
