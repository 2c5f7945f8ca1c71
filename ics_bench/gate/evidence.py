"""What a decision can be checked again with: the pairs that it saw, the seed, and the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ics_bench.core.environment import fingerprint
from ics_bench.gate.series import Measure, Pair

TOOLS = ("asv", "asv_runner", "virtualenv")
"""Packages that build and run what the gate measures, beside those of a fingerprint."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision rests on.

    Parameters
    ----------
    seed : int
        Of the random order of sides and benchmarks.
    pairs : mapping of str to sequence of Pair
        All pairs of every benchmark that both sides have, in the order in which they were measured.
    machine : mapping
        `ics_bench.core.environment.fingerprint`, with the versions of `TOOLS`.
    """

    seed: int
    pairs: Mapping[str, Sequence[Pair]]
    machine: Mapping[str, Any]


@dataclass
class Keeping:
    """Measures, and keeps every pair; a `ics_bench.gate.series.Measure`.

    Parameters
    ----------
    measure : Measure

    Attributes
    ----------
    pairs : dict of str to list of Pair
    """

    measure: Measure
    pairs: dict[str, list[Pair]] = field(default_factory=dict)

    def __call__(self, names: Sequence[str], pairs: int) -> Mapping[str, Sequence[Pair]]:
        """Run fresh pairs of the named benchmarks."""
        found = self.measure(names, pairs)
        for name, fresh in found.items():
            self.pairs.setdefault(name, []).extend(fresh)
        return found


def describe_machine() -> dict[str, Any]:
    """Fingerprint this machine and its software, the tools of the gate included."""
    found = fingerprint()
    return {**found, "packages": {**found["packages"], **{name: v for name in TOOLS if (v := _version(name))}}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
