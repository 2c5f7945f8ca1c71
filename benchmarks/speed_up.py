"""Steps to target with and without a norm."""

from ics_bench.asv import TrackSuite


class SpeedUp(TrackSuite):
    """Every headline metric of the quick profile."""

    workload = "speed_up"
