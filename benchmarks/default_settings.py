"""Configurations that train at one default rate."""

from ics_bench.asv import TrackSuite


class DefaultSettings(TrackSuite):
    """Every headline metric of the quick profile."""

    workload = "default_settings"
