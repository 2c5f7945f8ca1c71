"""A residual perceptron: one matrix a block, added to what came in."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.mlp import MLP


def build(**options: Any) -> MLP:
    """Return `MLP` with pre-activation skip connections."""
    return MLP(**options, residual=True)
