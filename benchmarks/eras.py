"""How deep the systems of each era train."""

from ics_bench.asv import TimeSuite, TrackSuite


class Eras(TrackSuite):
    """Whether and how quickly the nets of the quick profile train."""

    workload = "eras"
    metrics = ("steps_to_target",)


class ErasTime(TimeSuite):
    """How long one system takes to tune and train."""

    workload = "eras"
    cases = {"depth": 5}  # noqa: RUF012
