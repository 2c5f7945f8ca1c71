"""A residual perceptron without norms, Fixup: branches scaled down by their number, the last matrix of each at zero."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.residual_recipes import ResidualRecipe


def build(**options: Any) -> ResidualRecipe:
    """Return `ResidualRecipe` with recipe ``fixup``."""
    return ResidualRecipe(**options, recipe="fixup")
