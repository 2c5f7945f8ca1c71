"""Group normalization."""

from __future__ import annotations

from torch import nn

from ics_bench.subjects.norm import Norm

MAX_GROUPS = 32
"""Default number of groups in Wu & He 2018."""

MIN_GROUP_SIZE = 8
"""Fewer features than this leave a group no distribution to speak of: two always become ±1."""


def group_count(num_features: int) -> int:
    """Largest divisor of ``num_features`` that is at most 32 and leaves groups of 8 or more.

    Examples
    --------
    >>> group_count(256), group_count(64), group_count(7)
    (32, 8, 1)
    """
    most = min(MAX_GROUPS, max(1, num_features // MIN_GROUP_SIZE))
    return next(groups for groups in range(most, 0, -1) if num_features % groups == 0)


def build(num_features: int) -> nn.Module:
    """Return torch's group norm with `group_count` groups."""
    return nn.GroupNorm(group_count(num_features), num_features)


NORM = Norm(build, summary="per sample over groups of features", source="Wu & He 2018, arXiv:1803.08494")
