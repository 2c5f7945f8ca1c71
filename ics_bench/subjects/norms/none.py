"""No normalization: a subject like any other."""

from torch import nn

from ics_bench.subjects.norm import Norm


def build(num_features: int) -> nn.Module:
    """Return the identity."""
    del num_features
    return nn.Identity()


NORM = Norm(build, summary="no normalization", source="the baseline")
