"""Region of rates and initializations that train."""

from ics_bench.asv import TrackSuite


class RateRegion(TrackSuite):
    """Every headline metric of the quick profile."""

    workload = "rate_region"
