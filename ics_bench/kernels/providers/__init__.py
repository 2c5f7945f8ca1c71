"""Kernel providers, one file each. See `ics_bench.kernels.provider` for what a file holds."""
