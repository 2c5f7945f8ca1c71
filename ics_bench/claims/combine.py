"""From the findings in the primary settings to the verdict on a claim."""

from __future__ import annotations

from collections.abc import Sequence

from ics_bench.claims.claim import Verdict
from ics_bench.claims.finding import Finding


def combine(findings: Sequence[Finding]) -> Verdict:
    """Combine the findings of the primary settings.

    - *supported*: supported in every one;
    - *refuted*: in every one, the claimed effect is ruled out or the opposite is found;
    - *setting-dependent*: supported in at least one and refuted in at least one, whatever the others;
    - *inconclusive*: anything else. A setting that could not be decided is not evidence of absence, so
      it keeps a claim from being refuted just as it keeps it from being supported.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not findings:
        raise ValueError("no primary setting to combine")
    seen = {finding.verdict for finding in findings}
    if seen == {"supported"}:
        return "supported"
    if seen == {"refuted"}:
        return "refuted"
    return "setting-dependent" if {"supported", "refuted"} <= seen else "inconclusive"


def combined_p(verdict: Verdict, findings: Sequence[Finding]) -> float | None:
    """Return the p-value of a verdict, or ``None`` where no test stands behind it.

    A verdict that needs every setting takes the largest p (an intersection–union test, which needs
    no correction). One that needs some setting each way takes, on either side, the smallest p times
    the number of settings that could have provided it, and of the two sides the larger.
    """
    p_values = [(finding.verdict, finding.p) for finding in findings if finding.p is not None]
    if verdict == "inconclusive" or len(p_values) < len(findings):
        return None
    if verdict != "setting-dependent":
        return max(p for _, p in p_values)
    sides = [min(p for side, p in p_values if side == wanted) for wanted in ("supported", "refuted")]
    return min(1.0, len(findings) * max(sides))
