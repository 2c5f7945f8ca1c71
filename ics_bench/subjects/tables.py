"""Small real data that scikit-learn ships, read from its files: importing it would take as long as importing torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Table = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Features ``(N, F)`` and classes ``(N,)``."""

FILES = {"digits": ("digits.csv.gz", 0), "breast_cancer": ("breast_cancer.csv", 1)}
"""File and lines of heading of each: comma-separated, the class in the last column."""


def real_table(name: str) -> Table:
    """Read a table as it is, neither scaled nor split.

    Parameters
    ----------
    name : {"digits", "breast_cancer"}
    """
    file, heading = FILES[name]
    package = importlib.util.find_spec("sklearn")  # finds without importing
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", file)
        if path.is_file():
            rows = np.loadtxt(path, delimiter=",", skiprows=heading)
            return np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64)
    return _loaded(name)


def _loaded(name: str) -> Table:
    """Ask scikit-learn itself, should it keep its files elsewhere some day."""
    from sklearn import datasets

    x, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    return np.asarray(x, dtype=np.float64), np.asarray(labels, dtype=np.int64)
