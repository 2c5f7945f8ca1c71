"""What a norm adds to a training step."""

from ics_bench.asv import TrackSuite


class NormCost(TrackSuite):
    """The quick profile: the ratio to the same net without norm, and the step itself."""

    workload = "norm_cost"
    metrics = ("cost_ratio", "step_time")
