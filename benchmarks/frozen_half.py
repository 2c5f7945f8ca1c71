"""Speed of the upper half on a moving and on a frozen lower half."""

from ics_bench.asv import TimeSuite, TrackSuite


class FrozenHalf(TrackSuite):
    """Speed of the upper half on a moving and on a frozen lower half, at the quick profile."""

    workload = "frozen_half"
    metrics = ("steps_to_target",)


class FrozenHalfTime(TimeSuite):
    """How long one case takes."""

    workload = "frozen_half"
