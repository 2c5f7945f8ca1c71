"""How often verdicts come out again on seeds that were not used before."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ics_bench.claims.claim import Verdict
from ics_bench.claims.finding import SettingVerdict
from ics_bench.claims.judge import Judgement
from ics_bench.core.text import encode_number

STRIDE = 10_000
"""Seeds between two runs: no claim asks for as many, so no run meets another's seeds."""

FRESH_FROM, FRESH_TO = 10_000, 2**31
"""Range of fresh first seeds. Registered runs count from 0 and what was tried before registration from 1000."""


@dataclass(frozen=True)
class RepeatedClaim:
    """One claim's verdicts over runs on different seeds, one run at least.

    Parameters
    ----------
    id : str
    registered : str
    verdicts : mapping of int to str
        By where the run counts its seeds from; runs that were not made for the claim are absent.
    maps : mapping of int to mapping of str to str
        What was found in each primary setting, by the same.
    """

    id: str
    registered: Verdict
    verdicts: Mapping[int, Verdict]
    maps: Mapping[int, Mapping[str, SettingVerdict]]

    @property
    def commonest(self) -> Verdict:
        """The verdict that came out most often; of several, the one that came first."""
        found = list(self.verdicts.values())
        return max(found, key=found.count)

    @property
    def repeated(self) -> int:
        """Number of runs that gave the registered verdict."""
        return list(self.verdicts.values()).count(self.registered)

    @property
    def share_registered(self) -> float:
        """Share of the runs that gave the registered verdict."""
        return self.repeated / len(self.verdicts)


@dataclass(frozen=True)
class Repetition:
    """Claims' verdicts over runs on different seeds.

    Parameters
    ----------
    first_seeds : tuple of int
        Where each run counts its seeds from.
    claims : tuple of RepeatedClaim
    """

    first_seeds: tuple[int, ...]
    claims: tuple[RepeatedClaim, ...]

    @classmethod
    def of(cls, runs: Mapping[int, Sequence[Judgement]]) -> Repetition:
        """Collect the verdicts of runs, given by where they count their seeds from.

        Raises
        ------
        ValueError
            If there is no run.
        """
        if not runs:
            raise ValueError("no run: no repetition")
        found: dict[str, dict[int, Judgement]] = {}
        for first, judgements in runs.items():
            for judgement in judgements:
                found.setdefault(judgement.id, {})[first] = judgement
        claims = tuple(
            RepeatedClaim(
                name,
                next(iter(each.values())).registered,
                {first: judgement.verdict for first, judgement in each.items()},
                {first: judgement.map for first, judgement in each.items()},
            )
            for name, each in found.items()
        )
        return cls(tuple(runs), claims)

    @property
    def repeated(self) -> tuple[int, int]:
        """How many of the verdicts are the registered ones, and how many verdicts there are."""
        return sum(claim.repeated for claim in self.claims), sum(len(claim.verdicts) for claim in self.claims)

    @property
    def share_registered(self) -> float:
        """Share of all verdicts that are the registered ones."""
        same, everything = self.repeated
        return same / everything

    @property
    def share_agreeing(self) -> float:
        """Share of the pairs of runs, over all claims, that agree on the verdict; NaN where there is no pair."""
        return _share(one == other for claim in self.claims for one, other in combinations(claim.verdicts.values(), 2))

    @property
    def share_agreeing_in_settings(self) -> float:
        """Share of the pairs of runs, over all primary settings, that agree on the finding; NaN where there is none."""
        return _share(
            one.get(name) == other.get(name)
            for claim in self.claims
            for one, other in combinations(claim.maps.values(), 2)
            for name in one
        )

    def to_dict(self) -> dict[str, Any]:
        """Return values that strict JSON can hold."""
        return {
            "first_seeds": list(self.first_seeds),
            "share_registered": self.share_registered,
            "share_agreeing": encode_number(self.share_agreeing),
            "share_agreeing_in_settings": encode_number(self.share_agreeing_in_settings),
            "claims": [
                {
                    "id": claim.id,
                    "registered": claim.registered,
                    "commonest": claim.commonest,
                    "share_registered": claim.share_registered,
                    "verdicts": {str(first): verdict for first, verdict in claim.verdicts.items()},
                    "maps": {str(first): dict(found) for first, found in claim.maps.items()},
                }
                for claim in self.claims
            ],
        }


def _share(agreed: Iterable[bool]) -> float:
    found = list(agreed)
    return sum(found) / len(found) if found else math.nan


def fresh_first_seed(runs: int = 1) -> int:
    """Draw where seeds are counted from, so that ``runs`` runs fit between what was used and the end."""
    return FRESH_FROM + secrets.randbelow(FRESH_TO - FRESH_FROM - runs * STRIDE)


def first_seeds(base: int, runs: int) -> tuple[int, ...]:
    """Where each of several runs counts its seeds from."""
    return tuple(base + place * STRIDE for place in range(runs))
