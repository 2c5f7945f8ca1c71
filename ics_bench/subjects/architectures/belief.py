"""The perceptron of a deep belief net: sigmoid layers, which Boltzmann machines may start one by one."""

from __future__ import annotations

from typing import Any

from ics_bench.subjects.belief import BeliefNet


def build(**options: Any) -> BeliefNet:
    """Return `BeliefNet` with sigmoid layers, not trained yet."""
    return BeliefNet(**{"activation": "sigmoid", **options})
