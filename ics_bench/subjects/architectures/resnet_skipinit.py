"""A residual net whose branches start at zero, by one scalar each (De & Smith 2020)."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.resnet import ResNet


def build(**options: Any) -> ResNet:
    """Return `ResNet` with ``norm_free="skipinit"``."""
    return ResNet(**options, norm_free="skipinit")
