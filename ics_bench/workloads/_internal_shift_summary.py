"""One number a seed from what was seen of a replica, and a curve over layers behind it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

from ics_bench.core import Curve
from ics_bench.probes.drift import Drift
from ics_bench.stats import spearman
from ics_bench.workloads._internal_shift_watch import Pair, Record, SingleSteps

Found = tuple[str, float, Curve | None]
"""Metric, value, curve."""


def summarize(record: Record) -> Iterator[Found]:
    """Summarize a replica that was seen at every pair of steps."""
    pairs = record.pairs
    for kind in ("mean", "log_std", "wasserstein", "kl"):
        table = [[getattr(d, kind) for d in pair.drifts] for pair in pairs]
        yield _typical(f"drift_{kind}", table)
        yield _growth("drift_growth" if kind == "wasserstein" else f"drift_{kind}_growth", _by_layer(table))
    yield _typical("drift_running", _wasserstein(pairs, lambda pair: pair.running))
    yield _typical("drift_linear", _wasserstein(pairs, lambda pair: pair.linear))
    yield _typical("input_drift", _wasserstein(pairs, lambda pair: pair.inputs), first=2)
    yield _typical("sampling_drift", _wasserstein(pairs, lambda pair: pair.sampling))
    yield _growth("sampling_growth", _by_layer(_wasserstein(pairs, lambda pair: pair.sampling)))
    yield _growth("perturbation_growth", [d.wasserstein for d in record.perturbed])
    yield from _beyond_sampling(pairs)
    yield from _single_steps(pairs)
    if record.scaled is not None:
        yield "scaled_joint_over_sum", _joint_over_sum(record.scaled), None
    for kind in ("l2", "relative", "cosine"):
        yield _typical(f"gradient_shift_{kind}", [[getattr(s, kind) for s in pair.shifts] for pair in pairs], first=2)
    yield "first_layer_gradient_shift", max(pair.shifts[0].l2 for pair in pairs), None
    yield from _consistency(pairs)
    excluded = [d.excluded / d.units for pair in pairs for d in pair.drifts]
    yield "units_excluded", statistics.fmean(excluded), None


def _wasserstein(pairs: Sequence[Pair], of: Callable[[Pair], list[Drift]]) -> list[list[float]]:
    """W₁/σ by pair of steps and layer."""
    return [[d.wasserstein for d in of(pair)] for pair in pairs]


def _by_layer(table: Sequence[Sequence[float]]) -> list[float]:
    """Median over steps for each layer."""
    return [_median(column) for column in zip(*table, strict=True)]


def _typical(metric: str, table: Sequence[Sequence[float]], first: int = 1) -> Found:
    """Median over layers, from ``first`` up, of the medians over steps; the curve has all layers."""
    by_layer = _by_layer(table)
    return metric, _median(by_layer[first - 1 :]), _over_layers(by_layer)


def _growth(metric: str, by_layer: Sequence[float]) -> Found:
    """Decades from the first to the last layer along the least-squares line of log₁₀ W₁/σ against the layer."""
    curve = _over_layers(by_layer)
    if not all(0 < value < math.inf for value in by_layer) or len(by_layer) < 2:
        return metric, math.nan, curve
    slope = statistics.linear_regression(range(len(by_layer)), [math.log10(value) for value in by_layer]).slope
    return metric, slope * (len(by_layer) - 1), curve


def _beyond_sampling(pairs: Sequence[Pair]) -> Iterator[Found]:
    """Drift over sampling noise in every layer above the first, at every step."""
    ratios, chance = [], []
    for pair in pairs:
        noise = [d.wasserstein for d in pair.sampling][1:]
        ratios += [_ratio(d.wasserstein, n) for d, n in zip(pair.drifts[1:], noise, strict=True)]
        chance += [_ratio(d.wasserstein, n) for d, n in zip(pair.resampling[1:], noise, strict=True)]
    yield "least_drift", _least([d.wasserstein for pair in pairs for d in pair.drifts[1:]]), None
    yield "least_drift_over_sampling", _least(ratios), None
    yield "least_resampling_over_sampling", _least(chance), None
    yield "drift_over_sampling", _median(ratios), None
    yield "share_beyond_sampling", statistics.fmean(ratio > 1 for ratio in ratios), None


def _single_steps(pairs: Sequence[Pair]) -> Iterator[Found]:
    """Tell what moves when one layer alone takes its step, and what when all do."""
    seen = [pair.single for pair in pairs if pair.single is not None]
    by_layer = [(i, row) for single in seen for i, row in enumerate(single.moved)]
    yield "moved_below", _largest([value for i, row in by_layer for value in row[: i + 1]]), None
    yield "moved_above", _least([value for i, row in by_layer for value in row[i + 1 :]]), None
    yield "joint_over_sum", _median([_joint_over_sum(single) for single in seen]), None


def _joint_over_sum(single: SingleSteps) -> float:
    return _ratio(single.joint, math.fsum(single.parts))


def _consistency(pairs: Sequence[Pair]) -> Iterator[Found]:
    """Tell whether gradients turn where inputs move."""
    yield _typical("gradient_consistency", [pair.consistency for pair in pairs], first=2)
    yield "first_layer_consistency", _median([pair.consistency[0] for pair in pairs]), None
    moves = [d.wasserstein for pair in pairs for d in pair.inputs[1:]]
    turns = [1 - cosine for pair in pairs for cosine in pair.consistency[1:]]
    whole = all(map(math.isfinite, (*moves, *turns)))
    yield "drift_turning_correlation", spearman(moves, turns) if whole else math.nan, None


def _over_layers(values: Iterable[float]) -> Curve:
    y = tuple(values)
    return Curve(tuple(float(i) for i in range(1, len(y) + 1)), y, "layer")


def _ratio(value: float, by: float) -> float:
    return value / by if by > 0 else math.nan


def _median(values: Sequence[float]) -> float:
    """Median; NaN if any value is."""
    return math.nan if any(map(math.isnan, values)) else statistics.median(values)


def _least(values: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, values)) else min(values)


def _largest(values: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, values)) else max(values)
