"""A race on one problem: every provider that can run it is checked, and those that are right are timed together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ics_bench.kernels.provider import Provider
from ics_bench.kernels.scores import Score, score
from ics_bench.kernels.spec import Problem, floor_bytes

if TYPE_CHECKING:
    from ics_bench.kernels.check import Verdict
    from ics_bench.kernels.full_check import FullSize

CHECKED_ELEMENTS = 2**20
"""Elements up to which a problem is checked whole; the float64 reference takes half a second a million."""

SHARED_FLOORS, FLOORS_AN_ARM = 4, 2
"""Floors that a race holds at least: in common, the inputs as they are drawn and the copy's buffers; for each kernel,
its own tensors and as much again for what autograd keeps."""


def name_of(problem: Problem) -> str:
    """Write a problem in a line."""
    shape = "x".join(map(str, problem.shape))
    parts = [problem.norm, problem.direction, problem.dtype, shape]
    parts += ["channels_last"] if problem.layout != "contiguous" else []
    return " ".join([*parts, *(["eval"] if not problem.training else []), *problem.options])


def fits(problem: Problem, free: int, arms: int) -> bool:
    """Whether a problem leaves room for the buffers of as many kernels, one set each."""
    return (SHARED_FLOORS + FLOORS_AN_ARM * arms) * floor_bytes(problem) < free


@dataclass(frozen=True, slots=True)
class Row:
    """One problem's race.

    Parameters
    ----------
    problem : Problem
    scores : list of Score
    cannot : dict of str to str
        Why providers have no times, where it is not that they are wrong.
    """

    problem: Problem
    scores: list[Score]
    cannot: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return strict JSON values."""
        scores = [one.as_json() for one in self.scores]
        return {"problem": asdict(self.problem), "scores": scores, "cannot": self.cannot}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Row:
        """Read what `as_json` wrote."""
        problem = Problem(**{**values["problem"], "shape": tuple(values["problem"]["shape"])})
        return Row(problem, [Score.from_json(one) for one in values["scores"]], values["cannot"])

    def faults(self, ours: Collection[str]) -> list[str]:
        """Say what some providers did wrong, or why they have no time."""
        faults = [f"{name}: {reason}" for name, reason in self.cannot.items() if name in ours]
        wrong = [one for one in self.scores if one.provider in ours and not one.correct]
        return faults + [f"{one.provider}: {one.error_over_bound:.3g} × its error bound" for one in wrong]


class Race:
    """Checks and times every provider that can run a problem.

    The first problem of a kind comes with adversarial inputs, and is checked on its first samples where it is large.
    Large problems are also run at their full size, and parts of the results compared (`ics_bench.kernels.full_check`).
    Later ones of a kind are run at their full size alone: whoever compiles for each shape then compiles once.

    Parameters
    ----------
    providers : mapping of str to Provider
    device : {"cpu", "cuda"}
    seed : int
        Of inputs and the order of timing.
    memory_bytes : int
        Most memory for the rotated buffers.
    on_chip : int
        See `ics_bench.kernels.spec.roof_bytes`.
    vendor : float or None
        Bytes per second by the datasheet.
    adversarial : collection of str, optional
        Providers that see adversarial inputs; all by default.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        device: str,
        seed: int,
        memory_bytes: int,
        on_chip: int = 0,
        vendor: float | None = None,
        adversarial: Collection[str] | None = None,
    ) -> None:
        self.providers, self.device, self.seed, self.memory_bytes = providers, device, seed, memory_bytes
        self.on_chip, self.vendor = on_chip, vendor
        self.tried = set(providers if adversarial is None else adversarial)
        self.seen: set[tuple[object, ...]] = set()

    def arms(self, problem: Problem) -> int:
        """Count the providers that take a problem."""
        return sum(provider.why_not(problem, self.device) is None for provider in self.providers.values())

    def run(self, problem: Problem) -> Row:
        """Score those that run, with times where they are right, and say why others could not be timed."""
        from ics_bench.kernels.throughput import compare

        reasons: dict[str, str] = {}
        verdicts: dict[str, Verdict] = {}
        drawn: dict[Problem, FullSize] = {}
        for name, provider in self.providers.items():
            reason = provider.why_not(problem, self.device)
            if reason is not None:
                reasons[name] = reason
                continue
            try:
                verdict = self._check(name, provider, problem, drawn)
            except Exception as error:  # a rival that does not run is left out, and said to be
                reasons[name] = repr(error)
                continue
            verdict = replace(verdict, spared=name not in self.tried)
            if verdict.unchecked is not None:
                reasons[name] = f"could not be checked: {verdict.unchecked}"
            else:
                verdicts[name] = verdict
        drawn.clear()  # its memory is the clock's
        right = {name: self.providers[name] for name, verdict in verdicts.items() if verdict.correct}
        failures: dict[str, str] = {}
        try:
            timed = compare(right, problem, self.seed, self.device, self.memory_bytes, failures) if right else {}
        except Exception as error:  # the rest of the table is still wanted
            timed, failures = {}, dict.fromkeys(right, repr(error))
        return Row(problem, score(problem, timed, verdicts, self.on_chip, self.vendor), {**reasons, **failures})

    def _check(self, name: str, provider: Provider, problem: Problem, drawn: dict[Problem, FullSize]) -> Verdict:
        """Check a provider; ``drawn`` keeps what those of one race share."""
        from ics_bench.kernels.bounds import UnboundedError
        from ics_bench.kernels.check import check
        from ics_bench.kernels.full_check import FullSize

        own = (problem.norm, problem.direction, problem.dtype, len(problem.shape), problem.layout, problem.training)
        kind = (name, *own, *problem.options)
        large, new = problem.elements > CHECKED_ELEMENTS, kind not in self.seen

        def small(adversarial: bool) -> Verdict:
            return check(provider, problem, self.seed, self.device, CHECKED_ELEMENTS, adversarial=adversarial)

        first = small(new and name in self.tried) if new or not large else None
        if first is not None and not first.correct:
            return first
        self.seen.add(kind)
        if first is not None and first.shrunk_to is None:
            return first
        adapted = provider.adapted(problem, self.device)
        try:
            if adapted not in drawn:
                drawn[adapted] = FullSize(adapted, self.seed, self.device)
            full = drawn[adapted].verdict(provider)
        except UnboundedError:  # of sums as long as these nothing is known; the shape that was checked is told
            return first or small(adversarial=False)
        if first is None:
            return full
        worst = max((first, full), key=lambda one: one.error_over_bound)
        lost = first.layout_lost or full.layout_lost
        return replace(first, error_over_bound=worst.error_over_bound, worst=worst.worst, layout_lost=lost, partly=True)
