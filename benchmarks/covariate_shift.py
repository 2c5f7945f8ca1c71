"""Damage by a shift of the inputs."""

from ics_bench.asv import TimeSuite, TrackSuite


class CovariateShift(TrackSuite):
    """Errors in use, at the quick profile; what they are to those at home is followed by the claim shift-1."""

    workload = "covariate_shift"
    metrics = ("test_error", "accuracy")


class CovariateShiftTime(TimeSuite):
    """How long one fit takes."""

    workload = "covariate_shift"
