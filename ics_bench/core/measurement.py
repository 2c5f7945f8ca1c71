"""What a workload yields: one value of one metric, with its curve and its warnings."""

from __future__ import annotations

from dataclasses import dataclass

from ics_bench.core.case import Case


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity along an axis, such as loss against step or standard deviation against layer.

    Parameters
    ----------
    x, y : tuple of float
        Positions and values, of equal length. Values may be infinite or NaN.
    label : str
        Name of the x axis: ``"step"``, ``"layer"``, ``"learning_rate"``.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    label: str

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"curve over {self.label!r}: {len(self.x)} positions, {len(self.y)} values")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one metric, for one case and one seed.

    ``seed`` is ``None`` for a value that belongs to all seeds together, such as a majority verdict.
    Warnings are data: they travel to the table, the report and the gate.
    """

    workload: str
    case: Case
    seed: int | None
    metric: str
    value: float
    unit: str
    curve: Curve | None = None
    warnings: tuple[str, ...] = ()
