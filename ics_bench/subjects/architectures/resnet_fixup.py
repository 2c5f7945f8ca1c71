"""A residual net that Fixup's initialization keeps trainable without norms (Zhang et al. 2019)."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.resnet import ResNet


def build(**options: Any) -> ResNet:
    """Return `ResNet` with ``norm_free="fixup"``."""
    return ResNet(**options, norm_free="fixup")
