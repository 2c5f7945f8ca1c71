"""Dividing an error rate over looks at growing data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def spending_shares(looks: Sequence[int], power: float) -> tuple[float, ...]:
    """Shares of an error rate that each look may spend, by the power family (Kim & DeMets 1987).

    By a look at n of N data, the share (n / N)^power has been spent. A test that rejects at look j where
    its p-value is at most α times the look's share has, by the union bound, a size of at most α over
    all looks, whatever the dependence between them; so min_j p_j / share_j is a p-value over all looks.

    Parameters
    ----------
    looks : sequence of int
        Sizes of the sample at the looks, increasing; the last is the largest possible one.
    power : float
        Positive; a large one keeps the error for the end.

    Raises
    ------
    ValueError
        For looks that do not grow from 1 up, or a power that is not positive and finite.

    Examples
    --------
    >>> [round(share, 3) for share in spending_shares([16, 32, 64], 1)]
    [0.25, 0.25, 0.5]
    """
    if not looks or looks[0] < 1 or any(after <= before for before, after in pairwise(looks)):
        raise ValueError(f"looks {list(looks)} do not grow from 1 up")
    if not (power > 0 and math.isfinite(power)):
        raise ValueError(f"power={power}: expected a positive, finite number")
    spent = [0.0, *((n / looks[-1]) ** power for n in looks)]
    return tuple(after - before for before, after in pairwise(spent))
