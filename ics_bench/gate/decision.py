"""The decision: screens every benchmark, confirms on fresh pairs what was flagged, and stops when all is decided.

Whether pairs are measured now or replayed from recorded noise is the caller's affair; nothing here knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ics_bench.gate.channels import channels, faults, margins
from ics_bench.gate.conclude import Measured, PValues, conclude_pairs, conclude_values
from ics_bench.gate.convergence import VALUE, Finding, judge_values
from ics_bench.gate.matching import match
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Measure, Pair
from ics_bench.gate.trial import BETTER, WORSE, Trial
from ics_bench.gate.verdict import Decision, Result, by_gravity
from ics_bench.stats import holm

Key = tuple[str, str]
"""A benchmark and one of its quantities."""


def decide(
    base: Sequence[Benchmark],
    head: Sequence[Benchmark],
    measure: Measure,
    rule: Rule | None = None,
    *,
    names: tuple[str, str] = ("base", "head"),
    warnings: Sequence[str] = (),
) -> Decision:
    """Decide what changed from base to head.

    Times and memory are screened on `Rule.screen_pairs` pairs; what the screen flags, and what it cannot bound,
    is measured again, up to the last look of `Rule.looks`. Regressions are those whose sequential p-values,
    on fresh pairs alone, survive Holm's correction over all quantities so tested and all seeded metrics that differ.

    Parameters
    ----------
    base, head : sequence of Benchmark
        What each side declares.
    measure : Measure
        Called for the benchmarks that both sides have.
    rule : Rule, optional
    names : tuple of str
        What the sides are called.
    warnings : sequence of str
        Of the comparison as a whole.

    Raises
    ------
    UsageError
        If a side lists a name twice, or there is nothing to compare.
    """
    comparison = _Comparison(*match(base, head), measure, rule or Rule())
    return Decision(*names, by_gravity(comparison.run()), comparison.rule, tuple(warnings))


class _Comparison:
    """Everything known so far about the benchmarks that both sides have."""

    def __init__(self, benchmarks: Sequence[Benchmark], others: Sequence[Result], measure: Measure, rule: Rule) -> None:
        self.rule = rule
        self._measure, self._others = measure, list(others)
        self._valued = [b for b in benchmarks if b.kind in ("exact", "seeded")]
        self._sampled = {b.name: b for b in benchmarks if b.kind in ("timing", "memory")}
        self._pairs: dict[str, list[Pair]] = {name: [] for name in self._sampled}
        self._faults: dict[str, str] = {}
        self._findings: dict[str, Finding] = {}
        self._trials: dict[Key, Trial] = {}
        self._short: set[str] = set()

    def run(self) -> list[Result]:
        """Measure and judge until all is decided or the budget ends."""
        if self._valued:
            measured = self._measure([b.name for b in self._valued], 1)
            self._findings = {b.name: judge_values(b, list(measured.get(b.name, ())), self.rule) for b in self._valued}
        if self._sampled:
            self._screen()
            done = 0
            for number, look in enumerate(self.rule.looks):
                if not self._look(number, look - done):
                    break
                done = look
        worse, better = (self._corrected(direction) for direction in (WORSE, BETTER))

        def p_values(name: str, quantity: str) -> PValues:
            return worse.get((name, quantity)), better.get((name, quantity))

        valued = [conclude_values(b, self._findings[b.name], p_values(b.name, VALUE), self.rule) for b in self._valued]
        return [*self._others, *valued, *(self._conclude(b, p_values) for b in self._sampled.values())]

    def _conclude(self, benchmark: Benchmark, p_values: Callable[[str, str], PValues]) -> Result:
        name = benchmark.name
        trials = {quantity: trial for (other, quantity), trial in self._trials.items() if other == name}
        measured = Measured(self._pairs[name], self._faults.get(name, ""), self.rule.screen_pairs, name in self._short)
        return conclude_pairs(benchmark, measured, trials, {q: p_values(name, q) for q in trials}, self.rule)

    def _screen(self) -> None:
        fresh = self._take(list(self._sampled), self.rule.screen_pairs)
        for name, pairs in fresh.items():
            benchmark = self._sampled[name]
            for channel in channels(benchmark, pairs):
                limits = margins(benchmark, channel.base, self.rule)
                self._trials[name, channel.quantity] = Trial(channel.worsening, limits, self.rule)

    def _look(self, number: int, pairs: int) -> bool:
        """Measure the undecided once more and judge them; false where there is nothing left to do."""
        names = self._undecided()
        fresh = self._take(names, pairs) if names else {}
        for name, found in fresh.items():
            known = [quantity for other, quantity in self._trials if other == name]
            by_quantity = {channel.quantity: channel for channel in channels(self._sampled[name], found)}
            for quantity in known:
                if quantity in by_quantity:
                    self._trials[name, quantity].look(number, by_quantity[quantity].worsening)
                else:
                    del self._trials[name, quantity]  # a clock that stood still: wall time alone goes on
        return bool(fresh)

    def _take(self, names: Sequence[str], pairs: int) -> dict[str, list[Pair]]:
        """Measure fresh pairs; benchmarks that failed or came back without any are left out."""
        measured: Mapping[str, Sequence[Pair]] = self._measure(names, pairs)
        fresh: dict[str, list[Pair]] = {}
        for name in names:
            found = list(measured.get(name, ()))
            if len(found) < pairs:
                self._short.add(name)
            self._pairs[name] += found
            fault = faults(self._sampled[name], self._pairs[name])
            if fault:
                self._faults[name] = fault
            elif found:
                fresh[name] = found
        return fresh

    def _undecided(self) -> list[str]:
        regressed = {key for key, p in self._corrected(WORSE).items() if p <= self.rule.family_error}
        improved = {key for key, p in self._corrected(BETTER).items() if p <= self.rule.family_error}
        return [
            name
            for name, benchmark in self._sampled.items()
            if name not in self._faults | dict.fromkeys(self._short)
            and not self._decided(name, benchmark, regressed, improved)
        ]

    def _decided(self, name: str, benchmark: Benchmark, regressed: set[Key], improved: set[Key]) -> bool:
        if benchmark.better not in ("lower", "higher"):
            return True
        keys = [key for key in self._trials if key[0] == name]
        if any(key in regressed for key in keys):
            return True
        if not all(self._trials[key].bounded for key in keys):
            return False
        return not any(
            self._trials[key].tested[direction] and self._trials[key].leans(direction) and key not in sure
            for key in keys
            for direction, sure in ((WORSE, regressed), (BETTER, improved))
        )

    def _corrected(self, direction: float) -> dict[Key, float]:
        """Holm's p-values of all that may be called a change in a direction: one family."""
        family: dict[Key, float] = {
            key: min(1.0, trial.p[direction])
            for key, trial in self._trials.items()
            if trial.tested[direction] and self._sampled[key[0]].better in ("lower", "higher")
        }
        for name, finding in self._findings.items():
            if finding.verdict is None:
                family[name, VALUE] = finding.p if direction == WORSE else finding.p_better
        return dict(zip(family, holm(list(family.values())), strict=True))
