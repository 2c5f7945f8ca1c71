"""Which norm suits which data."""

from ics_bench.asv import TimeSuite, TrackSuite


class NormFit(TrackSuite):
    """Test accuracy, and what evaluation mode changes, at the quick profile."""

    workload = "norm_fit"
    metrics = ("test_accuracy", "train_mode_accuracy")


class NormFitTime(TimeSuite):
    """How long one norm takes to train and test."""

    workload = "norm_fit"
