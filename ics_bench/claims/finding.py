"""What a rule finds in one setting of a claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ics_bench.core.text import encode_number
from ics_bench.stats import Interval

SettingVerdict = Literal["supported", "refuted", "inconclusive"]

NO_INTERVAL = Interval(math.nan, math.nan)


class MissingEvidenceError(Exception):
    """The measurements do not answer; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one setting.

    Parameters
    ----------
    verdict : {"supported", "refuted", "inconclusive"}
        *supported*: the claimed effect or value is there; *refuted*: it is not, or the opposite is;
        *inconclusive*: the evidence allows both.
    effect : float
        In ``unit``; NaN where there is none.
    interval : Interval
        Of the kind that ``interval_kind`` names; NaN at both ends where there is none.
    n : int
        Seeds, or 1 for a deterministic run.
    unit : str
    target : str
        What the effect is held against, in words.
    interval_kind : str
    p : float, optional
        p-value of the verdict reached, where a test reached it; of the nearer verdict where it is
        inconclusive.
    warnings : tuple of str
    """

    verdict: SettingVerdict
    effect: float = math.nan
    interval: Interval = NO_INTERVAL
    n: int = 0
    unit: str = "1"
    target: str = ""
    interval_kind: str = ""
    p: float | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return values that strict JSON can hold; infinities and NaN go by name."""
        return {
            "verdict": self.verdict,
            "effect": encode_number(self.effect),
            "interval": [encode_number(end) for end in self.interval],
            "interval_kind": self.interval_kind,
            "n": self.n,
            "unit": self.unit,
            "target": self.target,
            "p": None if self.p is None else encode_number(self.p),
            "warnings": list(self.warnings),
        }
