"""Pure functions over numbers: intervals, paired tests, margin and equivalence tests, multiplicity.

They say ``scipy.special.f`` in full: scipy then loads the module, a third of a second, at the first call.
"""

from ics_bench.stats.bootstrap import bca_interval, bootstrap, percentile_interval, resample_counts
from ics_bench.stats.equivalence import Equivalence, tost
from ics_bench.stats.interval import Interval, t_interval
from ics_bench.stats.margin import below_margin, exceeds_margin
from ics_bench.stats.multiplicity import holm
from ics_bench.stats.ranks import MedianInterval, median_interval, signed_ranks, spearman
from ics_bench.stats.shares import Tails, binomial_tails, share_interval
from ics_bench.stats.sign import median_bound, sign_test
from ics_bench.stats.signflip import SignFlip, sign_flip

__all__ = [
    "Equivalence",
    "Interval",
    "MedianInterval",
    "SignFlip",
    "Tails",
    "bca_interval",
    "below_margin",
    "binomial_tails",
    "bootstrap",
    "exceeds_margin",
    "holm",
    "median_bound",
    "median_interval",
    "percentile_interval",
    "resample_counts",
    "share_interval",
    "sign_flip",
    "sign_test",
    "signed_ranks",
    "spearman",
    "t_interval",
    "tost",
]
