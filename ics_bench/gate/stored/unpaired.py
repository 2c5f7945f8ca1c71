"""Timings that were stored: what two processes, run at different times, can say about a change.

Repetitions in one process are no replicas, and a machine drifts between two runs, so nothing here is as sure as the
gate's paired epochs. Therefore the margin is `Rule.bound`, not `Rule.margin`; every verdict carries a warning; and two
single numbers decide nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ics_bench.core.text import count
from ics_bench.gate.convergence import NO_INTERVAL, Finding
from ics_bench.gate.rule import Rule
from ics_bench.gate.stored.result import Entry
from ics_bench.gate.verdict import Reading
from ics_bench.stats import Interval

LEAST_SAMPLES = 8
"""With fewer a side, ranks cannot reach the level that a family of a dozen benchmarks needs."""

MOST_SAMPLES = 2000
"""More repetitions are thinned to this many: they add no replicas, only time."""

MORE = "asv keeps samples with asv run --record-samples, and ics-bench gate measures both anew"

WARNING = "one process a side, not interleaved: drift of the machine looks like a change; ics-bench gate decides"


def judge_stored(base: Entry, head: Entry, rule: Rule) -> Finding:
    """Test stored timings, or memory, by Mann & Whitney's (1947) test against a growth of ``rule.bound``."""
    for side, entry in (("base", base), ("head", head)):
        if entry.observation.error:
            return Finding("error", f"failed on {side}: {entry.observation.error}")
        wrong = [v for v in (entry.observation.value, *entry.samples) if not (math.isfinite(v) and v > 0)]
        if wrong:
            return Finding("error", f"{side} holds {wrong[0]:g}, and a ratio needs positive, finite numbers")
    fewest = min(len(base.samples), len(head.samples))
    if fewest < LEAST_SAMPLES:
        known = "one number a side" if fewest <= 1 else f"{count(fewest, 'sample')} a side"
        reason = f"{known}, and nothing to tell a change from noise; {MORE}"
        return Finding("inconclusive", reason, _reading(base, head, fewest, NO_INTERVAL))
    sign = -1.0 if base.benchmark.better == "higher" else 1.0
    was, now = (sign * np.log(_thinned(entry.samples)) for entry in (base, head))
    growth, limit = math.log1p(rule.bound), f"{100 * rule.bound:g} %"
    return Finding(
        None,
        f"neither surely more nor surely less than {limit} worse",
        _reading(base, head, min(len(was), len(now)), _interval(base, head)),
        float(stats.mannwhitneyu(now - growth, was, alternative="greater").pvalue),
        float(stats.mannwhitneyu(now + growth, was, alternative="less").pvalue),
        bool(stats.mannwhitneyu(now - growth, was, alternative="less").pvalue <= rule.bound_error),
        (WARNING,),
        limit,
    )


def _thinned(samples: tuple[float, ...]) -> NDArray[np.float64]:
    places = np.linspace(0, len(samples) - 1, min(len(samples), MOST_SAMPLES)).astype(int)
    thinned: NDArray[np.float64] = np.asarray(samples, dtype=np.float64)[places]
    return thinned


def _reading(base: Entry, head: Entry, n: int, interval: Interval) -> Reading:
    was, now = base.observation.value, head.observation.value
    quantity = "wall time" if base.benchmark.unit == "s" else base.benchmark.kind
    return Reading(quantity, n, True, was, now, now / was - 1, interval, math.inf)


def _interval(base: Entry, head: Entry) -> Interval:
    """Bootstrap interval of the ratio of medians, within these two processes."""
    sides = (np.log(_thinned(head.samples)), np.log(_thinned(base.samples)))
    found = stats.bootstrap(
        sides, lambda now, was, axis: np.median(now, axis=axis) - np.median(was, axis=axis),
        n_resamples=999, method="percentile", vectorized=True, random_state=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Interval(math.expm1(found.low), math.expm1(found.high))
