"""From the findings in the primary settings to the verdict on a claim."""

from __future__ import annotations

from collections.abc import Sequence

from ics_bench.claims.claim import Verdict
from ics_bench.claims.finding import Finding


def combine(findings: Sequence[Finding]) -> Verdict:
    """Combine the findings of the primary settings.

    - *supported*: supported in every one;
    - *refuted*: in every one, the claimed effect is ruled out or the opposite is found;
    - *setting-dependent*: supported in at least one and refuted in at least one, whatever the others.
      Refuted holds "equivalent to none": a setting refutes a claim where an effect that matters is
      ruled out, whether there is none or the opposite;
    - *inconclusive*: anything else. A setting that could not be decided is not evidence of absence, so it
      keeps a claim from being refuted just as it keeps it from being supported: "supported in none" is
      not enough.

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
    the number of settings that could have provided it, and of the two sides the larger. Settings that
    were not decided, or not measured, count in that number.
    """
    if verdict == "inconclusive":
        return None
    sides = [[f.p for f in findings if f.verdict == side] for side in ("supported", "refuted")]
    known = [[p for p in side if p is not None] for side in sides]
    if [len(side) for side in known] != [len(side) for side in sides]:
        return None
    if verdict != "setting-dependent":
        return max(p for side in known for p in side)
    return min(1.0, len(findings) * max(min(side) for side in known))
