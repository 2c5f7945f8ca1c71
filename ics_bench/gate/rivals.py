"""Other rules for the same question, to compare with: what they say of two samples of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ics_bench.gate.recording import Recording
from ics_bench.gate.replay import Fate, Tally, block_places, roles
from ics_bench.gate.rule import Rule

SAMPLE = 16
"""Epochs a side that a rule is given: as many as the gate's screen."""

Sample = NDArray[np.float64]
Rival = Callable[[Sample, Sample], bool]
"""Whether the second sample is slower than the first, by the rule."""


def mean_over_10_percent(base: Sample, head: Sample) -> bool:
    """Say whether the mean grew by more than 10 %."""
    return float(head.mean()) > 1.10 * float(base.mean())


def median_over_7_percent(base: Sample, head: Sample) -> bool:
    """Say whether the median grew by more than 7 %."""
    return float(np.median(head)) > 1.07 * float(np.median(base))


def mann_whitney(base: Sample, head: Sample) -> bool:
    """Test by Mann & Whitney (1947): p < .05 on two sides, with the larger ranks on head, a benchmark at a time."""
    test = stats.mannwhitneyu(head, base, alternative="two-sided", method="exact")
    return bool(test.pvalue < 0.05 and test.statistic > head.size * base.size / 2)


def asv_rule() -> Rival | None:
    """Return the rule of ``asv continuous``, made of asv's own functions; ``None`` where asv is not installed."""
    try:
        from asv.commands.compare import _is_result_better
        from asv_runner.statistics import compute_stats
    except ImportError:
        return None

    def slower(base: Sample, head: Sample) -> bool:
        if not float(np.median(base)) < float(np.median(head)) / ASV_FACTOR:
            return False  # asv asks this too, after its slow statistics
        (was, was_stats), (now, now_stats) = (compute_stats(list(side), 1) for side in (base, head))
        return bool(_is_result_better(was, now, (was_stats, list(base)), (now_stats, list(head)), ASV_FACTOR))

    return slower


ASV_FACTOR = 1.1
"""asv's default."""


def rivals() -> Mapping[str, Rival | None]:
    """Every rule, by the name that the table gives it; ``None`` where its library is missing."""
    return {
        "asv, factor 1.1": asv_rule(),
        "mean over 10 %": mean_over_10_percent,
        "median over 7 %": median_over_7_percent,
        "Mann–Whitney, p < .05": mann_whitney,
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
    names = list(recording.benchmarks)
    if 2 * recording.pairs < 2 * SAMPLE:
        raise ValueError(f"{recording.pairs} pairs; the other rules need {SAMPLE}")
    generator = np.random.default_rng(seed)
    known = {name: rival for name, rival in rivals().items() if rival is not None}
    tallies = {(name, order): Tally() for name in known for order in ORDERS}
    pairs, epochs = _arranged(recording)
    for run in range(runs):
        slowed, innocent = roles(names, factor, run, rule)
        factors = np.array([factor if name in slowed else 1.0 for name in names])
        for order in ORDERS:
            base, head = ORDERS[order](pairs, epochs, generator)
            head = head * factors[:, None]
            for name, rival in known.items():
                fates: dict[str, Fate] = {
                    benchmark: "regression" if rival(base[place], head[place]) else "no change"
                    for place, benchmark in enumerate(names)
                }
                tallies[name, order].add(fates, slowed, innocent, SAMPLE)
    return tallies


def _arranged(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wall times as pairs, shape (benchmarks, pairs, sides), and in the order of time, shape (benchmarks, 2·pairs)."""
    pairs = np.array([[noise.base_wall, noise.head_wall] for noise in recording.benchmarks.values()]).swapaxes(1, 2)
    head_first = np.array(recording.head_first)[None, :, None]
    return pairs, np.where(head_first, pairs[:, :, ::-1], pairs).reshape(len(pairs), -1)


def _then(
    pairs: NDArray[np.float64], epochs: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    start = generator.integers(0, epochs.shape[1] - 2 * SAMPLE + 1)
    one, other = epochs[:, start : start + SAMPLE], epochs[:, start + SAMPLE : start + 2 * SAMPLE]
    return (one, other) if generator.random() < 0.5 else (other, one)


def _interleaved(
    pairs: NDArray[np.float64], epochs: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    drawn = pairs[:, block_places(pairs.shape[1], SAMPLE, generator)]
    swapped = generator.random(SAMPLE) < 0.5
    return np.where(swapped, drawn[..., 1], drawn[..., 0]), np.where(swapped, drawn[..., 0], drawn[..., 1])


ORDERS = {"A then B": _then, "interleaved": _interleaved}
