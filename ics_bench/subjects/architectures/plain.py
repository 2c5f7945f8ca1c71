"""A plain perceptron: a chain of linear layers, norms and activations."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.mlp import MLP


def build(**options: Any) -> MLP:
    """Return `MLP` without skip connections."""
    return MLP(**options, residual=False)
