"""Benchmarks and regression tests for normalization and initialization in deep networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ics_bench.api import judge, run
    from ics_bench.results.run import Run

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "judge", "run"]


def __getattr__(name: str) -> Any:
    """Import the Python API on first use: importing the package costs nothing."""
    if name in ("judge", "run"):
        from ics_bench import api

        return getattr(api, name)
    if name == "Run":
        from ics_bench.results.run import Run

        return Run
    raise AttributeError(f"module 'ics_bench' has no attribute {name!r}")
