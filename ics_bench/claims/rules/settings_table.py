"""What rules over many settings share: quantities by setting and seed, their ranks, and values known as bounds only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError
from ics_bench.claims.rules.effect import Summary, Values
from ics_bench.stats import Interval, median_interval, t_interval
from ics_bench.stats.ranks import mean_ranks

LEAST_SETTINGS = 4
"""Three settings have six orders, so that no permutation test of them could reach a level of 5 %."""

Worst = Literal["highest", "lowest"]
Direction = Literal["positive", "negative"]
Groups = NDArray[np.intp]

BOUNDED = ".y"
"""Suffix of the arms whose values may be brackets."""


@dataclass(frozen=True)
class Table:
    """Quantities over settings.

    Parameters
    ----------
    values : mapping of suffix to array of float64, shape (settings, seeds)
    open : array of bool, shape (settings, seeds)
        Where the quantity of `BOUNDED` is a bound, its bracket reaching to 0 or to infinity.
    notes : tuple of str
    """

    values: Mapping[str, Values]
    open: NDArray[np.bool_]
    notes: tuple[str, ...]


def check_roles(names: tuple[str, ...], suffixes: tuple[str, ...]) -> None:
    """Raise ``ValueError`` unless every setting has one arm of each suffix, and there are enough settings."""
    stray = [
        name
        for name in names
        for stem, dot, suffix in (name.rpartition("."),)
        if dot + suffix not in suffixes or any(stem + other not in names for other in suffixes)
    ]
    if stray:
        together = " and ".join(f"NAME{suffix}" for suffix in suffixes)
        raise ValueError(f"compares arms {together}; without a partner: {', '.join(stray)}")
    amount = len(names) // len(suffixes)
    if amount < LEAST_SETTINGS:
        raise ValueError(f"needs at least {LEAST_SETTINGS} settings, got {amount}")


def read_table(
    evidence: Evidence,
    arms: Mapping[str, Arm],
    names: Sequence[str],
    columns: Mapping[str, tuple[str, Worst]],
    bound_metric: str,
    seeds: int,
) -> Table:
    """Read the quantities of every setting on at least ``seeds`` seeds, the same for all.

    Parameters
    ----------
    names : sequence of str
        Settings.
    columns : mapping of suffix to (metric, end of the ranks that a failed replica takes)
    bound_metric : str
        Upper ends of the brackets of `BOUNDED`; empty where it is a plain number.

    Raises
    ------
    MissingEvidenceError
        If an arm has too few seeds or others than the rest, or no quantity was measured by seed.
    """
    found = {
        suffix: [_by_seed(evidence, arms[name + suffix], metric, worst, seeds) for name in names]
        for suffix, (metric, worst) in columns.items()
    }
    bounds: list[dict[int, float] | float] = []
    if bound_metric:
        bounds = [_by_seed(evidence, arms[name + BOUNDED], bound_metric, "highest", seeds) for name in names]
    chosen = _common_seeds([*(column for rows in found.values() for column in rows), *bounds])
    values = {suffix: _rows(rows, chosen) for suffix, rows in found.items()}
    open_ended = np.zeros((len(names), len(chosen)), dtype=np.bool_)
    if bound_metric:
        open_ended = (values[BOUNDED] <= 0) | (_rows(bounds, chosen) == math.inf)
    notes = [
        f"{columns[suffix][0]} is one number over all seeds in some setting"
        for suffix, rows in found.items()
        if any(isinstance(row, float) for row in rows)
    ]
    if open_ended.any():
        notes.append(f"{open_ended.sum()} of {open_ended.size} values of {columns[BOUNDED][0]} are bounds")
    return Table(values, open_ended, tuple(notes))


def groups_of(arms: Mapping[str, Arm], roles: Sequence[str], key: str) -> Groups:
    """Give numbers to the groups of settings whose arms have the same value of a case key; all are one without a key.

    Raises
    ------
    MissingEvidenceError
        If an arm has no such key, or no group has two settings.
    """
    if not key:
        return np.zeros(len(roles), dtype=np.intp)
    lacking = [role for role in roles if key not in arms[role].pins]
    if lacking:
        raise MissingEvidenceError(f"{lacking[0]} has no case key {key!r} to group the settings by")
    groups: Groups = np.unique([str(arms[role].pins[key]) for role in roles], return_inverse=True)[1]
    if np.bincount(groups).max() < 2:
        raise MissingEvidenceError(f"every setting has a {key} of its own: nothing to compare within one")
    return groups


def deals(groups: Groups, amount: int, seed: int = 0) -> Groups:
    """Draw permutations of the settings that keep to their groups, shape (amount, settings)."""
    rng = np.random.default_rng(seed)
    drawn = np.tile(np.arange(len(groups)), (amount, 1))
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        drawn[:, places] = rng.permuted(drawn[:, places], axis=1)
    return drawn


def deal(table: Table, groups: Groups) -> Table:
    """Give every setting the `BOUNDED` value of another one of its group, another way for every seed."""
    order = deals(groups, table.open.shape[1], seed=1).T
    values = {**table.values, BOUNDED: np.take_along_axis(table.values[BOUNDED], order, axis=0)}
    return Table(values, np.take_along_axis(table.open, order, axis=0), table.notes)


def place_open(values: Values, open_ended: NDArray[np.bool_], weights: Values, groups: Groups) -> Values:
    """Rank values within their groups; equal ones share their mean rank, but open ones go by their weight.

    Among open values of one size any order is possible; in the order of the weights the sum of weight × rank
    is the largest (rearrangement inequality), in the reverse order the smallest.

    Returns
    -------
    array of float64, shape (settings, seeds)
    """
    ranks = np.zeros_like(values)
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        for seed in range(values.shape[1]):
            mine, column = mean_ranks(values[places, seed]), values[places, seed]
            for value in np.unique(column[open_ended[places, seed]]):
                tied = np.flatnonzero((column == value) & open_ended[places, seed])
                order = np.argsort(np.argsort(weights[places[tied], seed], kind="stable"), kind="stable")
                mine[tied] += order - (len(tied) - 1) / 2
            ranks[places, seed] = mine
    return ranks


def scores(values: Values, groups: Groups) -> Values:
    """Ranks within groups, centred there and of length one over all settings: two of them multiply to a correlation.

    Returns
    -------
    array of float64, shape (settings, seeds)
        0 throughout where a seed's values do not differ.
    """
    ranks = place_open(values, np.zeros(values.shape, dtype=np.bool_), values, groups)
    for group in np.unique(groups):
        ranks[groups == group] -= ranks[groups == group].mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    lengths: Values = np.where(length > 0, length, 1.0)
    return ranks / lengths


def spread(finding: Finding, low: Values, middle: Values, high: Values, summary: Summary) -> Finding:
    """Let a finding show the correlation of equal ranks as its effect, and an interval over what bounds leave open."""
    if summary == "mean":
        effect, ends = float(middle.mean()), (t_interval(low), t_interval(high))
    else:
        effect, ends = float(np.median(middle)), (median_interval(low).interval, median_interval(high).interval)
    return replace(finding, effect=effect, interval=Interval(ends[0].low, ends[1].high))


def sign_of(direction: Direction) -> float:
    """1 for a positive direction, -1 for a negative one."""
    return 1.0 if direction == "positive" else -1.0


def _by_seed(evidence: Evidence, arm: Arm, metric: str, worst: Worst, least: int) -> dict[int, float] | float:
    """Values by seed, or the one value of a metric that belongs to all seeds together."""
    stand_in = math.inf if worst == "highest" else -math.inf
    items = evidence.select(arm, metric)
    if len(items) == 1 and items[0].seed is None:
        value = evidence.single(arm, metric).value
        return stand_in if math.isnan(value) else value
    found = evidence.by_seed(arm, metric, least)
    return {seed: stand_in if math.isnan(item.value) else item.value for seed, item in found.items()}


def _common_seeds(columns: Sequence[dict[int, float] | float]) -> list[int]:
    seeds = [tuple(column) for column in columns if isinstance(column, dict)]
    if not seeds:
        raise MissingEvidenceError(
            "every metric belongs to all seeds together: one correlation is no sample; judge by seed"
        )
    if len(set(seeds)) > 1:
        raise MissingEvidenceError("the arms were measured on different seeds; run all with the same ones")
    return list(seeds[0])


def _rows(rows: Sequence[dict[int, float] | float], seeds: Sequence[int]) -> Values:
    """Values, shape (settings, seeds)."""
    table = [[row] * len(seeds) if isinstance(row, float) else [row[seed] for seed in seeds] for row in rows]
    return np.array(table, dtype=np.float64)
