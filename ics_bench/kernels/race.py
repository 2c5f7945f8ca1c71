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

CHECKED_ELEMENTS = 2**20
"""Elements up to which a problem is checked whole; the float64 reference takes a second a million.

Of larger ones, the first samples are, and parts of the results at full size (`ics_bench.kernels.full_check`)."""

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

    Adversarial inputs are for the first problem of a kind; later ones are checked on themselves.

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
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        device: str,
        seed: int,
        memory_bytes: int,
        on_chip: int = 0,
        vendor: float | None = None,
    ) -> None:
        self.providers, self.device, self.seed, self.memory_bytes = providers, device, seed, memory_bytes
        self.on_chip, self.vendor = on_chip, vendor
        self.seen: set[tuple[object, ...]] = set()

    def arms(self, problem: Problem) -> int:
        """Count the providers that take a problem."""
        return sum(provider.why_not(problem, self.device) is None for provider in self.providers.values())

    def run(self, problem: Problem) -> Row:
        """Score those that run, with times where they are right, and say why others could not be timed."""
        from ics_bench.kernels.throughput import compare

        reasons: dict[str, str] = {}
        verdicts: dict[str, Verdict] = {}
        for name, provider in self.providers.items():
            reason = provider.why_not(problem, self.device)
            if reason is not None:
                reasons[name] = reason
                continue
            try:
                verdict = self._check(name, provider, problem)
            except Exception as error:  # a rival that does not run is left out, and said to be
                reasons[name] = repr(error)
                continue
            if verdict.unchecked is not None:
                reasons[name] = f"could not be checked: {verdict.unchecked}"
            else:
                verdicts[name] = verdict
        right = {name: self.providers[name] for name, verdict in verdicts.items() if verdict.correct}
        failures: dict[str, str] = {}
        try:
            timed = compare(right, problem, self.seed, self.device, self.memory_bytes, failures) if right else {}
        except Exception as error:  # the rest of the table is still wanted
            timed, failures = {}, dict.fromkeys(right, repr(error))
        return Row(problem, score(problem, timed, verdicts, self.on_chip, self.vendor), {**reasons, **failures})

    def _check(self, name: str, provider: Provider, problem: Problem) -> Verdict:
        from ics_bench.kernels.bounds import UnboundedError
        from ics_bench.kernels.check import check
        from ics_bench.kernels.full_check import full_error

        own = (problem.norm, problem.direction, problem.dtype, len(problem.shape), problem.layout, problem.training)
        kind = (name, *own, *problem.options)
        verdict = check(provider, problem, self.seed, self.device, CHECKED_ELEMENTS, adversarial=kind not in self.seen)
        if not verdict.correct:
            return verdict
        self.seen.add(kind)
        if verdict.shrunk_to is None:
            return verdict
        try:
            error, where = full_error(provider, problem, self.seed, self.device)
        except UnboundedError:  # of sums as long as these nothing is known; the shape that was checked is told
            return verdict
        return replace(verdict, error_over_bound=error, worst=where) if error > verdict.error_over_bound else verdict
