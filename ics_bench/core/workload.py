"""The one declaration that the command line, asv, the claims, the gate and the report all read."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from ics_bench.core.case import Case, Scalar
from ics_bench.core.errors import UsageError, unknown
from ics_bench.core.measurement import Curve, Measurement
from ics_bench.core.metric import Metric
from ics_bench.core.registry import Registry
from ics_bench.core.seeding import derive_seed

Profile = Literal["quick", "standard", "full"]
PROFILES: tuple[Profile, ...] = ("quick", "standard", "full")

RESERVED_AXES = frozenset(
    ("workload", "version", "case", "seed", "metric", "value", "unit", "warnings", "curve_x", "curve_y", "curve_label")
)
"""Columns of a run's frame, which case keys stand beside."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a workload's grid.

    Parameters
    ----------
    name : str
        Key in the case.
    summary : str
        One line for ``ics-bench list``.
    quick, standard, full : tuple
        Values in each profile. An empty ``standard`` repeats ``quick``, an empty ``full`` repeats
        ``standard``.
    choices : tuple, optional
        The only values allowed. Without it and without ``registry``, any value of the same type is.
    registry : Registry, optional
        Where values are looked up: built-in names, entry points or ``module:attribute``.
    minimum : float, optional
        Smallest value allowed on a numeric axis.
    """

    name: str
    summary: str
    quick: tuple[Scalar, ...]
    standard: tuple[Scalar, ...] = ()
    full: tuple[Scalar, ...] = ()
    choices: tuple[Scalar, ...] | None = None
    registry: Registry | None = None
    minimum: float | None = None

    def __post_init__(self) -> None:
        if self.name in RESERVED_AXES:
            raise ValueError(f"axis {self.name!r} has the name of a result column; choose another")
        declared = (*self.quick, *self.standard, *self.full, *(self.choices or ()))
        kinds = {type(value).__name__ for value in declared}
        if not self.quick or len(kinds) != 1:
            found = ", ".join(sorted(kinds)) or "none"
            raise ValueError(f"axis {self.name!r} needs quick values, and all of one type; found {found}")

    def values(self, profile: Profile) -> tuple[Scalar, ...]:
        """Values of this axis in ``profile``."""
        standard = self.standard or self.quick
        return {"quick": self.quick, "standard": standard, "full": self.full or standard}[profile]

    def parse(self, value: Scalar) -> Scalar:
        """Turn what a user typed into a value of this axis.

        Raises
        ------
        UsageError
            If the value is not one that the axis takes.
        """
        if self.registry is not None:
            return self.registry.canonical(str(value))
        kind = type(self.quick[0])
        try:
            parsed = _parse_as(kind, value)
            if isinstance(parsed, float) and not math.isfinite(parsed):
                raise ValueError("not a point of a grid")
        except ValueError:
            raise UsageError(
                f"case key {self.name!r}: {value!r} is not {_a(kind)}; for example {self.name}={self.quick[0]}"
            ) from None
        if self.choices is not None and parsed not in self.choices:
            raise unknown(f"value of case key {self.name!r}:", value, self.choices)
        if self.minimum is not None and not isinstance(parsed, str) and parsed < self.minimum:
            raise UsageError(f"case key {self.name!r}: {value} is below the minimum {self.minimum:g}")
        return parsed


def _parse_as(kind: type, value: Scalar) -> Scalar:
    text = str(value).strip()
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    if not text:
        raise ValueError("empty")
    return text


def _a(kind: type) -> str:
    return {int: "an integer", float: "a number", bool: "true or false"}.get(kind, "text")


class Workload(ABC):
    """A canonical, seeded, real run, declared once.

    A subclass sets the class attributes and implements `measure`. It does no I/O, prints nothing,
    and imports torch only inside `measure`, so that listing workloads costs nothing.

    Attributes
    ----------
    name : str
        Identity on the command line and in results.
    version : int
        Raised when the meaning of a measurement changes; results of different versions are never
        compared.
    summary : str
        One line.
    metrics : tuple of Metric
        Everything that `measure` may yield.
    axes : tuple of Axis
        The grid.
    seeds : mapping of profile to int
        How many seeds each profile uses.
    paired : tuple of str
        Axes whose arms share their random draws at equal seed, so that paired tests pair something.
    exclusive : bool
        Whether a case must run alone on the machine (timings).
    flush_denormal : bool
        Whether numbers below the normal range count as zero, which keeps vanishing nets from crawling.
        Never where underflow itself is measured.
    recipe : mapping of str to scalar
        What a measurement means beyond its case: steps, batch size, target. Results of different
        recipes are never compared.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    summary: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    axes: ClassVar[tuple[Axis, ...]]
    seeds: ClassVar[Mapping[Profile, int]]
    paired: ClassVar[tuple[str, ...]] = ()
    exclusive: ClassVar[bool] = False
    flush_denormal: ClassVar[bool] = False
    recipe: ClassVar[Mapping[str, Scalar]] = {}

    @abstractmethod
    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Run one case on all its seeds and yield what was measured."""

    def skip(self, case: Case, device: str) -> str | None:
        """Why this case cannot run here, or ``None``."""
        del case, device
        return None

    def applies(self, metric: str, case: Case) -> bool:
        """Whether a metric means anything for a case; where not, `measure` may omit it and nobody tracks it."""
        del metric, case
        return True

    def norm_input(self, case: Case) -> tuple[int, ...] | None:
        """Shape ``(N, C, *)`` of input for trying a norm of the user's on; ``None`` where a case names no width."""
        return (4, case.integer("width")) if "width" in case else None

    def cost(self, case: Case) -> float:
        """Relative duration of a case, for the order of work and the remaining time."""
        del case
        return 1.0

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Cases beyond the product of the axes."""
        del profile
        return ()

    def includes(self, case: Case) -> bool:
        """Whether a point of the product of the axes belongs to the grid."""
        del case
        return True

    def axis(self, name: str) -> Axis:
        """Look an axis up by name.

        Raises
        ------
        UsageError
            If the workload has no such axis.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise unknown(f"case key of workload {self.name!r}:", name, [axis.name for axis in self.axes])

    def metric(self, name: str) -> Metric:
        """Look a metric up by name."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise unknown(f"metric of workload {self.name!r}:", name, [m.name for m in self.metrics])

    def cases(self, profile: Profile, overrides: Mapping[str, Sequence[Scalar]] | None = None) -> tuple[Case, ...]:
        """List the cases of a profile.

        Parameters
        ----------
        profile : {"quick", "standard", "full"}
        overrides : mapping of axis name to values, optional
            Values that replace the profile's on those axes.

        Raises
        ------
        UsageError
            For an unknown axis or a value that the axis does not take.
        """
        chosen = {
            name: tuple(dict.fromkeys(self.axis(name).parse(value) for value in values))
            for name, values in (overrides or {}).items()
        }
        grid = itertools.product(*(chosen.get(axis.name, axis.values(profile)) for axis in self.axes))
        names = [axis.name for axis in self.axes]
        product = [Case.of(dict(zip(names, point, strict=True))) for point in grid]
        extra = [
            case for case in self.extra_cases(profile) if all(case[name] in values for name, values in chosen.items())
        ]
        cases = tuple(dict.fromkeys([case for case in product if self.includes(case)] + extra))
        if not cases:
            asked = ", ".join(f"{k}={v}" for k, values in chosen.items() for v in values)
            raise UsageError(f"workload {self.name!r} has no case with {asked}")
        return cases

    def seed_for(self, case: Case, seed: int, purpose: str) -> int:
        """Seed of one stream of draws; arms along the `paired` axes share it."""
        return derive_seed(self.name, case.without(*self.paired).id, seed, purpose)

    def measurement(
        self,
        case: Case,
        seed: int | None,
        metric: str,
        value: float,
        curve: Curve | None = None,
        warnings: Sequence[str] = (),
    ) -> Measurement:
        """Build a measurement of a declared metric."""
        unit = self.metric(metric).unit
        return Measurement(self.name, case, seed, metric, float(value), unit, curve, tuple(warnings))

    def digest(self, profile: Profile) -> str:
        """Fingerprint of what the declaration means: name, version, recipe, cases, seeds and metrics."""
        declared = {
            "name": self.name,
            "version": self.version,
            "recipe": dict(self.recipe),
            "cases": [case.id for case in self.cases(profile)],
            "seeds": self.seeds[profile],
            "metrics": [(m.name, m.unit, m.better, m.kind) for m in self.metrics],
        }
        return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]
