"""Correction for many tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float], family_size: int | None = None) -> list[float]:
    """Adjust p-values so that rejecting below α keeps the family-wise error below α (Holm 1979).

    Parameters
    ----------
    p_values : sequence of float
        Raw p-values in [0, 1], in any order and of any dependence.
    family_size : int, optional
        Number of tests in the registered family, when not all of them are given here; those absent
        count as p = 1. The number given by default.

    Returns
    -------
    list of float
        Adjusted p-values in the same order, each at least the raw one and at most 1.

    Raises
    ------
    ValueError
        For a value outside [0, 1] or a family smaller than the values given.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError(f"p-values must lie in [0, 1], got {list(p_values)}")
    size = len(raw) if family_size is None else family_size
    if size < len(raw):
        raise ValueError(f"family_size={size} is smaller than the {len(raw)} p-values given")
    order = np.argsort(raw, kind="stable")
    steps = np.minimum(1.0, raw[order] * (size - np.arange(len(raw))))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(p) for p in adjusted]
