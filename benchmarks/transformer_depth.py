"""Whether transformers train, by depth and by the place of the norm."""

from ics_bench.asv import TimeSuite, TrackSuite


class TransformerDepth(TrackSuite):
    """Steps to target and last loss at the quick profile."""

    workload = "transformer_depth"


class TransformerDepthTime(TimeSuite):
    """How long one case takes to train."""

    workload = "transformer_depth"
