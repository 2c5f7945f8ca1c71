"""One quantity under trial: screened on its first pairs, tested on fresh ones, bounded by all."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ics_bench.gate.channels import Margins
from ics_bench.gate.rule import Rule
from ics_bench.stats import median_bound, sign_test
from ics_bench.stats.signed_rank import signed_rank, upper_bound
from ics_bench.stats.spending import spending_shares

WORSE, BETTER = 1.0, -1.0


class Trial:
    """What the pairs so far say about one quantity.

    The screen only picks: what it flags is tested on fresh pairs, in either direction, and so is for the worse what
    it can neither flag nor bound, as that is measured again anyway. The p-values rest on fresh pairs alone and are
    valid over all looks. The bound rests on all pairs and holds whether a quantity was picked or not.

    Parameters
    ----------
    screen : array, shape (n,)
        Log-ratios of the screen's pairs, positive for the worse.
    margins : Margins
    rule : Rule
    """

    def __init__(self, screen: NDArray[np.float64], margins: Margins, rule: Rule) -> None:
        self._rule, self._margins = rule, margins
        self._test, self._bound = (sign_test, median_bound) if margins.by_signs else (signed_rank, upper_bound)
        self._all, self._screened = screen, screen.size
        self._confirm_shares = spending_shares(rule.looks, rule.confirm_power)
        sizes = (rule.screen_pairs, *(rule.screen_pairs + look for look in rule.looks))
        self._bound_shares = spending_shares(sizes, rule.bound_power)
        self.p = {WORSE: 1.0, BETTER: 1.0}
        self.bound = math.inf
        self._tighten(0)
        self.tested = {
            direction: screen.size > 0 and self._test(direction * screen - margins.screen) < rule.screen_level
            for direction in (WORSE, BETTER)
        }
        self.tested[WORSE] |= not self.bounded

    @property
    def by_signs(self) -> bool:
        """Whether it is the median that is tested."""
        return self._margins.by_signs

    @property
    def fresh(self) -> NDArray[np.float64]:
        """Log-ratios of the pairs since the screen."""
        return self._all[self._screened :]

    @property
    def picked(self) -> bool:
        """Whether the screen picked it for a test in either direction."""
        return any(self.tested.values())

    @property
    def bounded(self) -> bool:
        """Whether a growth that matters is excluded."""
        return self.bound < self._margins.bound

    def look(self, number: int, pairs: NDArray[np.float64]) -> None:
        """Take the fresh pairs of one look in, and judge anew.

        Fewer pairs than the look is due spend its share all the same: the budget ended, not the patience.

        Parameters
        ----------
        number : int
            From 0 up.
        pairs : array
        """
        if pairs.size == 0:
            return
        self._all = np.concatenate([self._all, pairs])
        for direction in (WORSE, BETTER):
            if self.tested[direction]:
                p = self._test(direction * self.fresh - self._margins.change) / self._confirm_shares[number]
                self.p[direction] = min(self.p[direction], p)
        self._tighten(number + 1)

    def _tighten(self, number: int) -> None:
        if self._all.size:
            level = self._rule.bound_error * self._bound_shares[number]
            self.bound = min(self.bound, self._bound(self._all, level))

    def leans(self, direction: float) -> bool:
        """Whether the fresh pairs, by their median, still speak for a change beyond the margin."""
        fresh = self.fresh
        return fresh.size == 0 or float(np.median(direction * fresh)) > self._margins.change
