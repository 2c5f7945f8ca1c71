"""Normalization kernels: what they must compute, how far off they may be, how fast they could be.

A kernel joins as one file in `ics_bench.kernels.providers`, by entry point in the group
``ics_bench.kernels``, or as ``module:attribute``; `ics_bench.kernels.provider` says what it holds.
"""

from ics_bench.core.registry import Registry

PROVIDERS = Registry("kernel provider", "ics_bench.kernels.providers", "PROVIDER", "ics_bench.kernels")

__all__ = ["PROVIDERS"]
