"""Gradients of a transformer at initialization."""

from ics_bench.asv import TimeSuite, TrackSuite


class TransformerGradient(TrackSuite):
    """How unequal the blocks' gradients are, at the quick profile; the other metrics have no direction."""

    workload = "transformer_gradient"


class TransformerGradientTime(TimeSuite):
    """How long one case takes."""

    workload = "transformer_gradient"
