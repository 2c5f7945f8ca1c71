"""A residual perceptron without norms, the last matrix of each branch starts at zero."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.residual_recipes import ResidualRecipe


def build(**options: Any) -> ResidualRecipe:
    """Return `ResidualRecipe` with recipe ``zero_last``."""
    return ResidualRecipe(**options, recipe="zero_last")
