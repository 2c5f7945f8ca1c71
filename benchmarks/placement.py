"""Accuracy and speed by the place of the norm."""

from ics_bench.asv import TimeSuite, TrackSuite


class Placement(TrackSuite):
    """Test accuracy and steps to target at the quick profile."""

    workload = "placement"


class PlacementTime(TimeSuite):
    """How long one order takes to train."""

    workload = "placement"
