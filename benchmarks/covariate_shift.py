"""Damage by a shift of the inputs."""

from ics_bench.asv import TimeSuite, TrackSuite


class CovariateShift(TrackSuite):
    """Errors in use and what they are to those at home, at the quick profile."""

    workload = "covariate_shift"
    metrics = ("error_ratio", "test_error", "accuracy")


class CovariateShiftTime(TimeSuite):
    """How long one fit takes."""

    workload = "covariate_shift"
