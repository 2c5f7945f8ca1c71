"""Measurements, found by what a claim's setting asks for."""

from __future__ import annotations

import copy
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ics_bench.claims.finding import MissingEvidenceError
from ics_bench.core import Case, Measurement

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Arm:
    """One case of one workload, as a claim selects it.

    Parameters
    ----------
    workload : str
    pins : Case
        Values of the case keys. A claim pins every axis, so that one case alone fits.
    """

    workload: str
    pins: Case

    @property
    def command(self) -> str:
        """The command that measures this arm."""
        return " ".join(["ics-bench run", self.workload, *(f"--case {key}={self.pins[key]}" for key in self.pins)])


class Evidence:
    """An index over measurements.

    Parameters
    ----------
    measurements : iterable of Measurement
    """

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._most: int | None = None
        self._read: dict[tuple[str, Case, str, int | None], Measurement] = {}
        self._by_metric: dict[tuple[str, str], dict[Case, list[Measurement]]] = {}
        self._cases: dict[str, set[Case]] = {}
        for item in measurements:
            cases = self._by_metric.setdefault((item.workload, item.metric), {})
            cases.setdefault(item.case, []).append(item)
            self._cases.setdefault(item.workload, set()).add(item.case)

    def first(self, seeds: int) -> Evidence:
        """Return the same evidence, of which `by_seed` shows the first ``seeds`` seeds of a case alone.

        A case that several claims share is measured on the seeds of the most demanding one. Which claims
        were measured together must not change what any of them is judged on.
        """
        view = copy.copy(self)
        view._most = seeds
        view._read = {}
        return view

    def cautions(self) -> list[str]:
        """Return the warnings of the measurements that were read from this view, with how many bear each.

        Those that differ in their numbers alone are told by one of them.
        """
        groups: dict[tuple[str, str], list[str]] = {}
        for item in self._read.values():
            for text in dict.fromkeys(item.warnings):
                groups.setdefault((item.metric, _NUMBER.sub("#", text)), []).append(text)
        amounts = Counter(item.metric for item in self._read.values())
        return [
            f"{len(texts)} of {amounts[metric]} values of {metric}{', such as' * (len(set(texts)) > 1)}: {texts[0]}"
            for (metric, _), texts in groups.items()
        ]

    def _seen(self, items: Iterable[Measurement]) -> None:
        self._read |= {(item.workload, item.case, item.metric, item.seed): item for item in items}

    def has(self, arm: Arm) -> bool:
        """Whether anything at all was measured for ``arm``."""
        return any(case.matches(**arm.pins) for case in self._cases.get(arm.workload, ()))

    def holds(self, arm: Arm, metrics: Iterable[str]) -> bool:
        """Whether all of these metrics were measured for ``arm``."""
        return all(
            any(case.matches(**arm.pins) for case in self._by_metric.get((arm.workload, metric), ()))
            for metric in metrics
        )

    def select(self, arm: Arm, metric: str) -> list[Measurement]:
        """Find the measurements of one metric in one arm, in the order of the seeds.

        Raises
        ------
        MissingEvidenceError
            If there are none, if they come from several cases, or if a seed was measured twice.
        """
        found = [
            (case, items)
            for case, items in self._by_metric.get((arm.workload, metric), {}).items()
            if case.matches(**arm.pins)
        ]
        if not found:
            raise MissingEvidenceError(f"no {metric} of {arm.pins.id}; run: {arm.command} --profile standard")
        if len(found) > 1:
            cases = "; ".join(case.id for case, _ in found)
            raise MissingEvidenceError(f"{arm.pins.id} fits several cases ({cases}); the claim must pin every axis")
        items = sorted(found[0][1], key=lambda item: -1 if item.seed is None else item.seed)
        if len({item.seed for item in items}) < len(items):
            raise MissingEvidenceError(
                f"{metric} of {arm.pins.id} was measured twice for one seed; judge one run at a time"
            )
        return items

    def by_seed(self, arm: Arm, metric: str, least: int) -> dict[int, Measurement]:
        """Find the measurements of at least ``least`` seeds.

        Raises
        ------
        MissingEvidenceError
            If there are fewer.
        """
        items = {item.seed: item for item in self.select(arm, metric) if item.seed is not None}
        if len(items) < least:
            raise MissingEvidenceError(
                f"{metric} of {arm.pins.id} has {len(items)} of the {least} seeds that the claim asks for; "
                f"run: {arm.command} --profile standard --seeds {least}"
            )
        counted = dict(itertools.islice(items.items(), self._most))
        self._seen(counted.values())
        return counted

    def single(self, arm: Arm, metric: str) -> Measurement:
        """Find the one measurement that belongs to all seeds together.

        Raises
        ------
        MissingEvidenceError
            If there is none.
        """
        for item in self.select(arm, metric):
            if item.seed is None:
                self._seen([item])
                return item
        raise MissingEvidenceError(
            f"{metric} of {arm.pins.id} was measured by seed only; the claim needs it over all seeds"
        )
