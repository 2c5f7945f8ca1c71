"""Every claim of the catalogue, followed by the effect of its headline setting or of a cheaper one."""

from ics_bench.asv import ClaimSuite
from ics_bench.claims import load_catalogue


class Claims(ClaimSuite):
    """One number a claim, from two seeds: it follows an effect over commits and judges nothing."""

    claims = load_catalogue()
