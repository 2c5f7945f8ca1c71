"""What a number means: its unit, which direction is good, and which statistics suit it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Better = Literal["lower", "higher", "neutral"]
Kind = Literal["exact", "seeded", "timing", "memory"]


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of one measured quantity.

    Parameters
    ----------
    name : str
        Field name in full, such as ``"steps_to_target"``.
    unit : str
        Unit of the value; ``"1"`` for a pure number.
    better : {"lower", "higher", "neutral"}
        Direction of improvement. There is no default: a metric without a direction cannot be judged.
    kind : {"exact", "seeded", "timing", "memory"}
        Picks the statistics. ``exact``: deterministic, any difference counts; ``seeded``: paired by
        seed; ``timing``: interleaved and repeated; ``memory``: peak bytes.
    summary : str
        One line for tables and reports.
    headline : bool
        Whether summary tables show it; the rest is in the frame and the report.
    smallest_effect : float, optional
        Smallest change that matters to a user, in the metric's unit (``seeded`` and ``exact``).
    smallest_ratio : float, optional
        The same as a factor above 1, for a quantity on a logarithmic scale, such as a rate or an eigenvalue. Without
        either no difference between two commits can be called a regression.
    of_each_seed : str
        Metric that says of each seed what this one says of all of them together; two commits are then compared by it,
        since one number a side cannot tell a change from chance.
    infinity_is_best : bool
        Whether infinity on the good side is a result, such as of a layer that a fault never meets. All else that is
        not finite is a failure.
    asv_ceiling : float, optional
        Finite stand-in for ``+inf`` in asv, whose graphs cannot hold it (see `as_lower_is_better`).
    """

    name: str
    unit: str
    better: Better
    kind: Kind
    summary: str = ""
    headline: bool = True
    smallest_effect: float | None = None
    asv_ceiling: float | None = None
    smallest_ratio: float | None = None
    of_each_seed: str = ""
    infinity_is_best: bool = False

    def __post_init__(self) -> None:
        for field, value, allowed in (
            ("better", self.better, get_args(Better)),
            ("kind", self.kind, get_args(Kind)),
        ):
            if value not in allowed:
                raise ValueError(f"metric {self.name!r}: {field}={value!r} is not one of {allowed}")
        ratio = self.smallest_ratio
        if ratio is not None and (self.smallest_effect is not None or not 1 < ratio < math.inf):
            raise ValueError(f"metric {self.name!r}: smallest_ratio={ratio!r} is not above 1, or not the only one")

        if self.infinity_is_best and self.better == "neutral":
            raise ValueError(f"metric {self.name!r}: infinity_is_best needs a direction, and better is 'neutral'")

    def as_lower_is_better(self, value: float) -> float:
        """Express ``value`` as the finite, lower-is-better number that asv needs.

        asv 0.6 has no direction: lower is better, always; ``nan`` reads as skipped and ``inf`` hangs
        ``asv publish``. Higher-is-better values become their reciprocal. asv compares by ratios, which
        call a negative value better than itself.

        Raises
        ------
        ValueError
            If the result is negative or not finite: a diverged run must fail in asv, not vanish from it.
        """
        if math.isinf(value) and value > 0 and self.asv_ceiling is not None:
            return self.asv_ceiling
        if self.better == "higher":
            if value <= 0:
                raise ValueError(f"{self.name} = {value} has no reciprocal to track")
            value = 1.0 / value
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{self.name} = {value} is not a finite number from 0 up: asv cannot track it")
        return value
