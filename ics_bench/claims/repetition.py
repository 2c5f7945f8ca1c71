"""How often verdicts come out again on seeds that were not used before."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ics_bench.claims.claim import Verdict
from ics_bench.claims.judge import Judgement

STRIDE = 10_000
"""Seeds between two runs: no claim asks for as many, so no run meets another's seeds."""

FRESH_FROM, FRESH_TO = 10_000, 2**31
"""Range of fresh first seeds. Registered runs count from 0 and what was tried before registration from 1000."""


@dataclass(frozen=True)
class RepeatedClaim:
    """One claim's verdicts over runs on different seeds.

    Parameters
    ----------
    id : str
    registered : str
    verdicts : tuple of str
        One a run, in their order.
    """

    id: str
    registered: Verdict
    verdicts: tuple[Verdict, ...]

    @property
    def commonest(self) -> Verdict:
        """The verdict that came out most often; of several, the one that came first."""
        return max(self.verdicts, key=self.verdicts.count)

    @property
    def share_commonest(self) -> float:
        """Share of the runs that gave the commonest verdict."""
        return self.verdicts.count(self.commonest) / len(self.verdicts)

    @property
    def share_registered(self) -> float:
        """Share of the runs that gave the registered verdict."""
        return self.verdicts.count(self.registered) / len(self.verdicts)


@dataclass(frozen=True)
class Repetition:
    """All claims' verdicts over runs on different seeds.

    Parameters
    ----------
    first_seeds : tuple of int
        Where each run counts its seeds from.
    claims : tuple of RepeatedClaim
    """

    first_seeds: tuple[int, ...]
    claims: tuple[RepeatedClaim, ...]

    @classmethod
    def of(cls, first_seeds: Sequence[int], runs: Sequence[Sequence[Judgement]]) -> Repetition:
        """Collect the verdicts of runs that were judged on the same claims.

        Raises
        ------
        ValueError
            If there is no run, or the runs were judged on different claims.
        """
        ids = [[j.id for j in run] for run in runs]
        if not runs or any(found != ids[0] for found in ids) or len(first_seeds) != len(runs):
            raise ValueError(f"{len(runs)} runs on {len(first_seeds)} seed ranges, on different claims: no repetition")
        columns = zip(*runs, strict=True)
        claims = tuple(RepeatedClaim(c[0].id, c[0].registered, tuple(j.verdict for j in c)) for c in columns)
        return cls(tuple(first_seeds), claims)

    @property
    def share_registered(self) -> float:
        """Share of all verdicts that are the registered ones."""
        return sum(claim.share_registered for claim in self.claims) / len(self.claims)

    @property
    def share_agreeing(self) -> float:
        """Share of the pairs of runs, over all claims, that agree on the verdict; 1 for a single run."""
        pairs = [one == other for claim in self.claims for one, other in combinations(claim.verdicts, 2)]
        return sum(pairs) / len(pairs) if pairs else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return values that strict JSON can hold."""
        return {
            "first_seeds": list(self.first_seeds),
            "share_registered": self.share_registered,
            "share_agreeing": self.share_agreeing,
            "claims": [
                {
                    "id": claim.id,
                    "registered": claim.registered,
                    "verdicts": list(claim.verdicts),
                    "commonest": claim.commonest,
                    "share_commonest": claim.share_commonest,
                    "share_registered": claim.share_registered,
                }
                for claim in self.claims
            ],
        }


def fresh_first_seed(runs: int = 1) -> int:
    """Draw where seeds are counted from, so that ``runs`` runs fit between what was used and the end."""
    return FRESH_FROM + secrets.randbelow(FRESH_TO - FRESH_FROM - runs * STRIDE)


def first_seeds(base: int, runs: int) -> tuple[int, ...]:
    """Where each of several runs counts its seeds from."""
    return tuple(base + place * STRIDE for place in range(runs))
