"""A residual net, the original order: convolution, norm, and the addition before the last activation."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.resnet import ResNet


def build(**options: Any) -> ResNet:
    """Return `ResNet`."""
    return ResNet(**options)
