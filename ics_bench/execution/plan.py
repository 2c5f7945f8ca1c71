"""From what was asked for to the list of tasks; everything that can be wrong with it is found here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ics_bench.core import PROFILES, Case, Profile, Scalar, UsageError, Workload, case_key, unknown
from ics_bench.execution.isolation import threads_of
from ics_bench.subjects import ARCHITECTURES, NORMS
from ics_bench.workloads import WORKLOADS, load_workload

DEVICES = ("cpu", "cuda")

MAX_SEEDS = 10_000
"""More is a slip of the finger: the judge's tests need 11."""

MAX_SEED = 2**32 - 1
"""Largest seed that numpy's legacy generator takes."""


@dataclass(frozen=True)
class Settings:
    """What a run measures. Equal settings and versions give equal results.

    Parameters
    ----------
    workloads : tuple of str
        Names; empty means every workload that has the overridden axes.
    profile : {"quick", "standard", "full"}
    overrides : mapping of axis to values
        Values that replace the profile's.
    seeds : int, optional
        Number of seeds; each workload has its own number for a profile, and each claim needs its own.
    first_seed : int
    device : {"cpu", "cuda"}
    claims : tuple of str
        Ids of claims; where there are some, what they need is measured and nothing else.
    """

    workloads: tuple[str, ...] = ()
    profile: Profile = "quick"
    overrides: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    seeds: int | None = None
    first_seed: int = 0
    device: str = "cpu"
    claims: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the settings as strict JSON values."""
        return {
            "workloads": list(self.workloads),
            "profile": self.profile,
            "overrides": {name: list(values) for name, values in self.overrides.items()},
            "seeds": self.seeds,
            "first_seed": self.first_seed,
            "device": self.device,
            "claims": list(self.claims),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Settings:
        """Undo `as_json`.

        Raises
        ------
        UsageError
            If it is not what `as_json` writes.
        """
        try:
            return cls(
                workloads=tuple(raw["workloads"]),
                profile=raw["profile"],
                overrides={name: tuple(values) for name, values in raw["overrides"].items()},
                seeds=raw["seeds"],
                first_seed=raw["first_seed"],
                device=raw["device"],
                claims=tuple(raw["claims"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"the run's settings are broken: {error!r}") from error


@dataclass(frozen=True)
class Task:
    """One case on all its seeds, to be measured in some process."""

    workload: str
    version: int
    case: Case
    seeds: tuple[int, ...]
    device: str

    @property
    def key(self) -> str:
        """Identity within a run, as the header's plan lists it."""
        return case_key(self.workload, self.version, self.case)


def resolve(settings: Settings) -> Settings:
    """Check settings, name their workloads and bring overrides to the form that results have.

    Raises
    ------
    UsageError
        For an unknown workload, profile, device, axis or value, a norm or model of the user's that
        cannot serve, a bad seed, or a missing GPU.
    """
    if settings.profile not in PROFILES:
        raise unknown("profile", settings.profile, PROFILES)
    if settings.device not in DEVICES:
        raise unknown("device", settings.device, DEVICES)
    _check_seeds(settings)
    if settings.device == "cuda":
        _require_cuda()
    if settings.claims:
        if settings.overrides:
            raise UsageError("claims pin every axis; they take no case keys")
        return replace(settings, workloads=tuple(_needs(settings)))
    names = tuple(dict.fromkeys(settings.workloads)) or _workloads_with(tuple(settings.overrides))
    workloads = [load_workload(WORKLOADS.canonical(name)) for name in names]
    overrides = {
        name: tuple(dict.fromkeys(workload.axis(name).parse(value) for value in values))
        for workload in workloads
        for name, values in settings.overrides.items()
    }
    for workload in workloads:
        cases = workload.cases(settings.profile, overrides)
        for case in cases:
            if not isinstance(case, Case):
                raise UsageError(f"workload {workload.name!r} lists {case!r:.80}, which is no Case")
        for axis in workload.axes:
            if axis.registry is not None:
                for value in overrides.get(axis.name, axis.values(settings.profile)):
                    inputs = _norm_inputs(workload, cases, axis.name, value) if axis.registry is NORMS else ()
                    axis.registry.verify(str(value), *inputs)
    return replace(settings, workloads=names, overrides=overrides)


def _norm_inputs(workload: Workload, cases: Sequence[Case], axis: str, norm: Scalar) -> Sequence[tuple[int, ...]]:
    """Shapes that the cases hand to a norm, each once."""
    shapes = (workload.norm_input(case) for case in cases if case.get(axis) == norm)
    return list(dict.fromkeys(shape for shape in shapes if shape is not None))


def several(values: Any) -> tuple[Any, ...]:
    """Make a tuple of what may be one value or many; ``None`` is none."""
    if values is None:
        return ()
    if isinstance(values, Iterable) and not isinstance(values, str | type):
        return tuple(values)
    return (values,)


def subject_overrides(norm: Any, model: Any, *, replace: bool) -> dict[str, tuple[Scalar, ...]]:
    """Register norms and models given from Python and return the axes that they replace.

    Parameters
    ----------
    norm, model : str or object, or a sequence of them
    replace : bool
        Whether a factory may take the name of one registered earlier (see `Registry.add_all`).

    Raises
    ------
    UsageError
        For an unknown name, or two factories of one name.
    """
    found: dict[str, tuple[Scalar, ...]] = {}
    for axis, registry, subjects in (("norm", NORMS, norm), ("architecture", ARCHITECTURES, model)):
        names = registry.add_all(several(subjects), replace=replace)
        if names:
            found[axis] = names
    return found


def _check_seeds(settings: Settings) -> None:
    if settings.seeds is not None and not 1 <= settings.seeds <= MAX_SEEDS:
        raise UsageError(f"seeds={settings.seeds}: the number of seeds is between 1 and {MAX_SEEDS}")
    if not 0 <= settings.first_seed <= MAX_SEED - MAX_SEEDS:
        raise UsageError(f"first_seed={settings.first_seed}: seeds are between 0 and {MAX_SEED - MAX_SEEDS}")


def _workloads_with(axes: Sequence[str]) -> tuple[str, ...]:
    names = WORKLOADS.builtin()
    having = tuple(n for n in names if set(axes) <= {axis.name for axis in load_workload(n).axes})
    if not having:
        known = {axis.name for name in names for axis in load_workload(name).axes}
        missing = [axis for axis in axes if axis not in known]
        if missing:
            raise unknown("case key", missing[0], sorted(known))
        raise UsageError(f"no workload has all of the case keys {', '.join(axes)}; name fewer")
    return having


def _require_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        raise UsageError("device 'cuda': torch finds no CUDA device here; use --device cpu, or see ics-bench doctor")


def tasks_of(settings: Settings) -> list[Task]:
    """List the tasks of resolved settings, in the order of the declarations."""
    needs = _needs(settings) if settings.claims else {}
    tasks = []
    for name in settings.workloads:
        workload = load_workload(name)
        usual = workload.seeds[settings.profile]
        cases = needs.get(name) or dict.fromkeys(workload.cases(settings.profile, settings.overrides), usual)
        for case, count in cases.items():
            seeds = tuple(range(settings.first_seed, settings.first_seed + (settings.seeds or count)))
            tasks.append(Task(name, workload.version, case, seeds, settings.device))
    return tasks


def _needs(settings: Settings) -> dict[str, dict[Case, int]]:
    from ics_bench.claims import load_catalogue, requirements, select

    return requirements(select(load_catalogue(), settings.claims), settings.profile)


def declarations_of(settings: Settings, tasks: Sequence[Task]) -> dict[str, Any]:
    """Describe the workloads of resolved settings and their tasks as strict JSON values.

    Results can then be read, and told apart, where the workload itself is missing or has changed.
    """
    found = {}
    for name in settings.workloads:
        workload = load_workload(name)
        found[name] = {
            "version": workload.version,
            "digest": workload.digest(settings.profile),
            "recipe": dict(workload.recipe),
            "seeds": sorted({seed for task in tasks if task.workload == name for seed in task.seeds}),
            "threads": threads_of(workload),
            "exclusive": workload.exclusive,
            "flush_denormal": workload.flush_denormal,
            "metrics": [asdict(metric) for metric in workload.metrics],
        }
    return found
