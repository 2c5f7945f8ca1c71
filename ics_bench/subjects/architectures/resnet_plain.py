"""The residual net's convolutions in a chain, without skips."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.resnet import ResNet


def build(**options: Any) -> ResNet:
    """Return `ResNet` with ``skip=False``."""
    return ResNet(**options, skip=False)
