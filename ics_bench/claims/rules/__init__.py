"""The rules by which claims are judged, one file each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Protocol

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.ceiling import PrintedCeiling
from ics_bench.claims.rules.equivalent import Equivalent
from ics_bench.claims.rules.paired import PairedEffect
from ics_bench.claims.rules.printed import PrintedNumber
from ics_bench.claims.rules.within import Within


class Rule(Protocol):
    """A frozen dataclass whose fields are the rule's parameters, checked as it is built.

    Attributes
    ----------
    roles : tuple of str
        Names of the arms that it compares.
    tests : bool
        Whether its findings carry a p-value, as every claim in the training family must.
    """

    roles: ClassVar[tuple[str, ...]]
    tests: ClassVar[bool]

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds."""

    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that it reads."""


RULES: Mapping[str, type[Rule]] = MappingProxyType(
    {
        "within": Within,
        "printed_number": PrintedNumber,
        "printed_ceiling": PrintedCeiling,
        "paired_effect": PairedEffect,
        "equivalent": Equivalent,
    }
)

__all__ = ["RULES", "Rule"]
