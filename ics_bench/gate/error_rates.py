"""Error rates of the gate and of other rules on recorded noise, with intervals over recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from ics_bench.core import derive_seed
from ics_bench.core.environment import fingerprint
from ics_bench.core.text import encode_number
from ics_bench.gate.recording import Recording
from ics_bench.gate.replay import Tally, mean_pairs, noise_cv, replay
from ics_bench.gate.rivals import replay_rivals
from ics_bench.gate.rule import Rule
from ics_bench.stats import Interval, bootstrap, percentile_interval

GATE = ("ics-bench gate", "interleaved")
AS_RECORDED = ("ics-bench gate", "interleaved, sides as recorded")
"""Without random swaps, which make signs fair whatever was recorded: here a side that is slower by itself shows."""

FACTORS = (1.0, 1.03, 1.05, 1.1, 1.15, 1.2)
"""The second is the boundary of the null hypothesis: the largest growth that is no regression."""

CALM_CV = 0.10
"""Noise up to which the gate's power is promised: standard deviation of a pair's log-ratio of wall times."""

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % bootstrap interval over recordings.

    Parameters
    ----------
    value : float
        Mean over recordings; NaN where there is nothing to count.
    interval : Interval
        NaN where the recordings are fewer than two or all alike: then a bootstrap says nothing.
    recordings : int
    """

    value: float
    interval: Interval
    recordings: int


@dataclass(frozen=True, slots=True)
class Line:
    """One rule under one load and one factor.

    Parameters
    ----------
    load, rule, order : str
    factor : float
    runs : int
        Suite runs in all.
    alarms : Rate
        Suite runs in which something that grew by no more than the margin was called a regression.
    detected, missed, undecided : Rate
        Slowed benchmarks that were called a regression, unchanged or better, and inconclusive.
    calm_detected, calm_missed, calm_undecided : Rate
        The same among benchmarks whose noise is at most `CALM_CV`.
    open_runs : Rate
        Suite runs that ended inconclusive.
    pairs : float
        Pairs of epochs that a suite run took on average.
    """

    load: str
    rule: str
    order: str
    factor: float
    runs: int
    alarms: Rate
    detected: Rate
    missed: Rate
    undecided: Rate
    calm_detected: Rate
    calm_missed: Rate
    calm_undecided: Rate
    open_runs: Rate
    pairs: float


Job = tuple[int, Recording, float, int, Rule]
Tallies = dict[tuple[str, str], Tally]


def error_rates(
    recordings: Sequence[Recording],
    runs: int,
    rule: Rule,
    factors: Sequence[float] = FACTORS,
    workers: int = 1,
) -> list[Line]:
    """Replay every recording under every factor through the gate and through the other rules.

    Parameters
    ----------
    recordings : sequence of Recording
    runs : int
        Suite runs for each recording and factor.
    rule : Rule
    factors : sequence of float
    workers : int
        Processes to share the work.

    Returns
    -------
    list of Line
        By load, rule and factor.
    """
    jobs: list[Job] = [(place, r, factor, runs, rule) for place, r in enumerate(recordings) for factor in factors]
    found: dict[tuple[int, float], Tallies] = {}
    for job, tallies in zip(jobs, _performed(jobs, workers), strict=True):
        found[job[0], job[2]] = tallies
    lines = []
    for load in dict.fromkeys(recording.load for recording in recordings):
        places = [place for place, recording in enumerate(recordings) if recording.load == load]
        calm = {place: _calm(recordings[place]) for place in places}
        for rule_order in found[places[0], factors[0]]:
            for factor in factors:
                by_place = {place: found[place, factor][rule_order] for place in places}
                lines.append(_line(load, rule_order, factor, by_place, calm))
    return lines


def _performed(jobs: Sequence[Job], workers: int) -> Iterable[Tallies]:
    if workers == 1:
        return map(_perform, jobs)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_perform, jobs))


def _perform(job: Job) -> Tallies:
    place, recording, factor, runs, rule = job
    seed = derive_seed("replay", str(place), round(1000 * factor), "draws")
    return {
        GATE: replay(recording, factor, runs, rule, seed),
        AS_RECORDED: replay(recording, factor, runs, rule, seed, swap=False),
        **replay_rivals(recording, factor, runs, rule, seed),
    }


def _calm(recording: Recording) -> list[str]:
    return [name for name in recording.benchmarks if noise_cv(recording, name)[0] <= CALM_CV]


def _line(
    load: str, rule_order: tuple[str, str], factor: float, tallies: Mapping[int, Tally], calm: Mapping[int, list[str]]
) -> Line:
    found = list(tallies.values())

    def met(*fates: str) -> tuple[Rate, Rate]:
        everywhere = rate([tally.share(*fates) for tally in found])
        return everywhere, rate([tally.share(*fates, among=calm[place]) for place, tally in tallies.items()])

    detected, missed, undecided = met("regression"), met("no change", "improvement"), met("inconclusive")
    return Line(
        load=load,
        rule=rule_order[0],
        order=rule_order[1],
        factor=factor,
        runs=sum(tally.runs for tally in found),
        alarms=rate([tally.alarms / tally.runs for tally in found]),
        detected=detected[0],
        missed=missed[0],
        undecided=undecided[0],
        calm_detected=detected[1],
        calm_missed=missed[1],
        calm_undecided=undecided[1],
        open_runs=rate([tally.open_runs / tally.runs for tally in found]),
        pairs=mean_pairs(found),
    )


def rate(shares: Sequence[float]) -> Rate:
    """Average shares of recordings, and bootstrap the average over them: draws from one recording are no evidence."""
    known = np.array([share for share in shares if not math.isnan(share)])
    if known.size == 0:
        return Rate(math.nan, Interval(math.nan, math.nan), 0)
    if len(set(known)) == 1:
        return Rate(float(known[0]), Interval(math.nan, math.nan), int(known.size))
    drawn = bootstrap(known, lambda sample: float(sample.mean()), RESAMPLES)
    return Rate(float(known.mean()), percentile_interval(drawn), int(known.size))


def encode_lines(lines: Sequence[Line], recordings: Sequence[Recording], rule: Rule) -> dict[str, Any]:
    """Turn error rates into strict JSON values, with the noise of every recording, and what replayed them."""
    return {
        "schema": 1,
        "environment": fingerprint(),
        "rule": {name: getattr(rule, name) for name in rule.__dataclass_fields__},
        "recordings": [
            {
                "load": recording.load,
                "started": recording.started,
                "pairs": recording.pairs,
                "cpu": recording.machine.get("cpu"),
                "noise": {
                    name: dict(zip(("wall", "cpu"), map(encode_number, noise_cv(recording, name)), strict=True))
                    for name in recording.benchmarks
                },
            }
            for recording in recordings
        ],
        "lines": [_encode_line(line) for line in lines],
    }


def _encode_line(line: Line) -> dict[str, Any]:
    def encoded(value: Any) -> Any:
        if isinstance(value, Rate):
            ends = list(map(encode_number, value.interval))
            return {"value": encode_number(value.value), "interval": ends, "recordings": value.recordings}
        return value

    return {name: encoded(getattr(line, name)) for name in line.__dataclass_fields__}
