"""Other rules for the same question, to compare with: what they say of two samples of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ics_bench.gate.recording import Recording
from ics_bench.gate.replay import Tally, block_places, roles
from ics_bench.gate.rule import Rule
from ics_bench.stats import holm

SAMPLE = 16
"""Epochs a side that a rule is given: as many as the gate's screen."""

ASV_FACTOR = 1.1
"""asv's default."""

Samples = NDArray[np.float64]
"""Times of one side, shape (benchmarks, epochs)."""

Rival = Callable[[Samples, Samples], NDArray[np.bool_]]
"""Which benchmarks a rule calls slower on the second side, shape (benchmarks,)."""


def mean_over_10_percent(base: Samples, head: Samples) -> NDArray[np.bool_]:
    """Say where the mean grew by more than 10 %."""
    slower: NDArray[np.bool_] = head.mean(axis=1) > 1.10 * base.mean(axis=1)
    return slower


def median_over_7_percent(base: Samples, head: Samples) -> NDArray[np.bool_]:
    """Say where the median grew by more than 7 %."""
    slower: NDArray[np.bool_] = np.median(head, axis=1) > 1.07 * np.median(base, axis=1)
    return slower


def mann_whitney(base: Samples, head: Samples) -> NDArray[np.bool_]:
    """Test by Mann & Whitney (1947): p < .05 on two sides, with the larger ranks on head, a benchmark at a time."""
    test = stats.mannwhitneyu(head, base, axis=1, alternative="two-sided", method="exact")
    slower: NDArray[np.bool_] = (test.pvalue < 0.05) & (test.statistic > head.shape[1] * base.shape[1] / 2)
    return slower


def stored_timings(base: Samples, head: Samples) -> NDArray[np.bool_]:
    """Apply the rule of ``ics-bench compare``: the same test against 10 % of growth, corrected for the family."""
    rule = Rule()
    test = stats.mannwhitneyu(np.log(head) - np.log1p(rule.bound), np.log(base), axis=1, alternative="greater")
    return np.array(holm(list(test.pvalue))) <= rule.family_error


def asv_rule() -> Rival | None:
    """Return the rule of ``asv continuous``, made of asv's own functions; ``None`` where asv is not installed."""
    try:
        from asv.commands.compare import _is_result_better
        from asv_runner.statistics import compute_stats
    except ImportError:
        return None

    def slower(base: Samples, head: Samples) -> NDArray[np.bool_]:
        # asv asks for the factor too, after its slow statistics.
        found = np.median(base, axis=1) < np.median(head, axis=1) / ASV_FACTOR
        for place in np.flatnonzero(found):
            samples = [list(side[place]) for side in (base, head)]
            (was, was_stats), (now, now_stats) = (compute_stats(sample, 1) for sample in samples)
            found[place] = _is_result_better(was, now, (was_stats, samples[0]), (now_stats, samples[1]), ASV_FACTOR)
        return found

    return slower


def rivals() -> Mapping[str, Rival | None]:
    """Every rule, by the name that the table gives it; ``None`` where its library is missing."""
    return {
        "asv, factor 1.1": asv_rule(),
        "mean over 10 %": mean_over_10_percent,
        "median over 7 %": median_over_7_percent,
        "Mann–Whitney, p < .05": mann_whitney,
        "ics-bench compare": stored_timings,
    }


def replay_rivals(
    recording: Recording, factor: float, runs: int, rule: Rule, seed: int = 0
) -> dict[tuple[str, str], Tally]:
    """Give the other rules wall times from a recording, taken in two ways.

    ``"A then B"``: `SAMPLE` epochs in succession for the base and the next ones for the head, as two runs of a
    suite would take them. ``"interleaved"``: the sides of pairs drawn as `ics_bench.gate.replay` draws them.

    Returns
    -------
    dict of (rule, order) to Tally
        Without the rules whose library is missing.

    Raises
    ------
    ValueError
        If the recording is too short.
    """
    if recording.pairs < SAMPLE:
        raise ValueError(f"{recording.pairs} pairs; the other rules need {SAMPLE}")
    names = list(recording.benchmarks)
    generator = np.random.default_rng(seed)
    known = {name: rival for name, rival in rivals().items() if rival is not None}
    tallies = {(name, order): Tally() for name in known for order in ORDERS}
    pairs, epochs = _arranged(recording)
    for run in range(runs):
        slowed, innocent = roles(names, factor, run, rule)
        factors = np.array([factor if name in slowed else 1.0 for name in names])
        for order, take in ORDERS.items():
            base, head = take(pairs, epochs, generator)
            for name, rival in known.items():
                slower = rival(base, head * factors[:, None])
                fates = ("regression" if found else "no change" for found in slower)
                tallies[name, order].add(dict(zip(names, fates, strict=True)), slowed, innocent, SAMPLE)
    return tallies


def _arranged(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wall times as pairs, shape (benchmarks, pairs, sides), and in the order of time, shape (benchmarks, 2·pairs)."""
    noises = recording.benchmarks.values()
    pairs = np.array([[noise.base_wall, noise.head_wall] for noise in noises]).swapaxes(1, 2)
    head_first = np.array(recording.head_first)[None, :, None]
    return pairs, np.where(head_first, pairs[:, :, ::-1], pairs).reshape(len(pairs), -1)


def _then(
    pairs: NDArray[np.float64], epochs: NDArray[np.float64], generator: np.random.Generator
) -> tuple[Samples, Samples]:
    start = generator.integers(0, epochs.shape[1] - 2 * SAMPLE + 1)
    one, other = epochs[:, start : start + SAMPLE], epochs[:, start + SAMPLE : start + 2 * SAMPLE]
    return (one, other) if generator.random() < 0.5 else (other, one)


def _interleaved(
    pairs: NDArray[np.float64], epochs: NDArray[np.float64], generator: np.random.Generator
) -> tuple[Samples, Samples]:
    drawn = pairs[:, block_places(pairs.shape[1], SAMPLE, generator)]
    swapped = generator.random(SAMPLE) < 0.5
    return np.where(swapped, drawn[..., 1], drawn[..., 0]), np.where(swapped, drawn[..., 0], drawn[..., 1])


ORDERS = {"A then B": _then, "interleaved": _interleaved}
