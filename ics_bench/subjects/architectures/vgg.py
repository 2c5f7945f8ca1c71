"""A VGG net of depth 11, 13, 16 or 19, scaled down to 8×8 images."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.vgg import VGG


def build(**options: Any) -> VGG:
    """Return `VGG`."""
    return VGG(**options)
