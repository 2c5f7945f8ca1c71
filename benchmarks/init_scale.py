"""Signal and gradient scale at initialization."""

from ics_bench.asv import TimeSuite, TrackSuite


class InitScale(TrackSuite):
    """Every headline metric of the quick profile."""

    workload = "init_scale"


class InitScaleTime(TimeSuite):
    """How long one network takes to observe."""

    workload = "init_scale"
