"""What a claim is, as it was registered before it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ics_bench.claims.evidence import Arm
from ics_bench.claims.rules import Rule
from ics_bench.core import Profile, Scalar

Verdict = Literal["supported", "refuted", "setting-dependent", "inconclusive"]
VERDICTS: tuple[Verdict, ...] = ("supported", "refuted", "setting-dependent", "inconclusive")
Family = Literal["theory", "training"]
Revised = Literal["", "verdict", "rule", "seeds"]
REVISIONS: Mapping[Revised, str] = {
    "verdict": "registered verdict",
    "rule": "rule or settings",
    "seeds": "number of seeds",
}
"""What may have been changed when results on registered seeds had been seen, the gravest first."""


@dataclass(frozen=True)
class Setting:
    """One setting in which a claim, or its negative control, is judged.

    Parameters
    ----------
    name : str
    primary : bool
        Whether it decides the verdict; the others are shown beside it.
    rule : Rule
        With its parameters.
    arms : mapping of str to Arm
        The cases that the rule compares, by role.
    """

    name: str
    primary: bool
    rule: Rule
    arms: Mapping[str, Arm]


@dataclass(frozen=True)
class Claim:
    """One statement, how it is tested, and the verdict that was expected.

    Parameters
    ----------
    id, section, statement, page, definition, source, caveat : str
        Identity; where the statement belongs; the statement in our words; where it stands on the
        page; what exactly is measured; paper and equation, or ``derivation``; what a reader must know.
    family : {"theory", "training"}
        Training claims are corrected together for their number. *Theory* stands for what no sample of trainings
        decides: closed forms, exact zeros, and the cost of a step, which is timed.
    tier : {"standard", "full"}
        Whether it is measured without being asked for, or, as it takes long, by name or with ``--tier full`` alone.
    seeds : int
        Seeds that are measured for it.
    least_seeds : int
        Fewest that it is judged on.
    registered : str
        Verdict written down before the measurement.
    budget_seconds : float
        What measuring it may take, summed over its cases, each in a process of its own on two cores.
    settings, controls : tuple of Setting
        A control is a setting in which the effect must be absent, put as a statement that must be
        supported.
    history : str
        An earlier registered verdict and why it changed; empty where there was none.
    revised : {"", "verdict", "rule", "seeds"}
        The gravest of what was changed when results on registered seeds had been seen (`REVISIONS`). Only fresh
        seeds can confirm such a claim.
    tracked : mapping
        By case key, the value that all arms of its headline setting take where it is followed over commits, so
        that it is cheap to measure, or a mapping from the text of each value that is replaced to the new one;
        empty where it is followed as it is judged.
    """

    id: str
    section: str
    statement: str
    page: str
    definition: str
    source: str
    caveat: str
    family: Family
    tier: Profile
    seeds: int
    least_seeds: int
    registered: Verdict
    budget_seconds: float
    settings: tuple[Setting, ...]
    controls: tuple[Setting, ...] = ()
    history: str = ""
    revised: Revised = ""
    tracked: Mapping[str, Scalar | Mapping[str, Scalar]] = field(default_factory=dict)

    @property
    def primary(self) -> tuple[Setting, ...]:
        """The settings that decide."""
        return tuple(setting for setting in self.settings if setting.primary)

    def arms(self) -> Iterator[Arm]:
        """Every arm of every setting and control."""
        return (arm for arm, _, _ in self.readings())

    def readings(self) -> Iterator[tuple[Arm, tuple[str, ...], bool]]:
        """Every arm of every setting and control, the metrics that are read from it, and whether with their curves."""
        for setting in (*self.settings, *self.controls):
            for role, arm in setting.arms.items():
                yield arm, setting.rule.metrics_of(role), setting.rule.reads_curves
