"""Speed of training with random, time-varying noise after batch norm."""

from ics_bench.asv import TimeSuite, TrackSuite


class NoisyNorm(TrackSuite):
    """Speed of training with random, time-varying noise after batch norm, at the quick profile."""

    workload = "noisy_norm"
    metrics = ("steps_to_target",)


class NoisyNormTime(TimeSuite):
    """How long one case takes."""

    workload = "noisy_norm"
