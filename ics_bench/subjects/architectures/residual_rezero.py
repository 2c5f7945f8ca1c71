"""A residual perceptron without norms, ReZero: activation after the matrix, and a gain that starts at zero."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.residual_recipes import ResidualRecipe


def build(**options: Any) -> ResidualRecipe:
    """Return `ResidualRecipe` with recipe ``rezero``."""
    return ResidualRecipe(**options, recipe="rezero")
