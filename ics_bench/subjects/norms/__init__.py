"""Normalization layers, one file each. See `ics_bench.subjects.norm` for what a file holds."""
