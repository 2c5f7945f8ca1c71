"""Signal and gradient scale at initialization."""

from ics_bench.asv import TimeSuite, TrackSuite


class InitScale(TrackSuite):
    """How far rates are from theory, and where layers, units and formats give out, at the quick profile."""

    workload = "init_scale"
    metrics = (
        "forward_rate_error",
        "backward_rate_error",
        "underflow_layer",
        "overflow_layer",
        "dead_fraction",
        "saturated_fraction",
    )


class InitScaleTime(TimeSuite):
    """How long one network takes to observe."""

    workload = "init_scale"
