"""What every rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding


class Rule(ABC):
    """A frozen dataclass whose fields are the rule's parameters, checked as it is built.

    Attributes
    ----------
    roles : tuple of str
        Names of the arms that it compares.
    tests : bool
        Whether its findings carry a p-value, as every claim in the training family must.
    reads_curves : bool
        Whether it reads the curves of its metrics, too.
    """

    roles: ClassVar[tuple[str, ...]] = ("subject",)
    tests: ClassVar[bool]
    reads_curves: ClassVar[bool] = False

    @classmethod
    def check_arms(cls, names: tuple[str, ...]) -> None:
        """Raise ``ValueError`` unless the rule compares arms of these names; the message goes on after its name."""
        if set(names) != set(cls.roles):
            raise ValueError(f"compares the arms {', '.join(cls.roles)}, got {', '.join(names)}")

    @abstractmethod
    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds."""

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that it reads."""

    def metrics_of(self, role: str) -> tuple[str, ...]:
        """Names of the metrics that it reads from one arm: of every arm the same, unless a rule says otherwise."""
        del role
        return self.metrics()

    @abstractmethod
    def shortfall(self, finding: Finding) -> float:
        """Express a finding as a finite number from 0 up, lower where the claim holds by more: what asv tracks."""
