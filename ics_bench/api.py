"""The Python API: the same runs and judgements as the command line's, as objects."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ics_bench.core import Profile, Scalar, UsageError
from ics_bench.core.registry import Registry
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings, resolve
from ics_bench.execution.session import start
from ics_bench.results.run import Run
from ics_bench.subjects import ARCHITECTURES, NORMS

if TYPE_CHECKING:
    from ics_bench.claims.judge import Judgement


def run(
    *workloads: str,
    profile: Profile = "quick",
    norm: object | Sequence[object] = (),
    model: object | Sequence[object] = (),
    cases: Mapping[str, Scalar | Iterable[Scalar]] | None = None,
    seeds: int | None = None,
    first_seed: int = 0,
    device: str = "cpu",
    executor: str = "inline",
    out: str | Path | None = None,
) -> Run:
    """Measure workloads and return the run.

    Parameters
    ----------
    *workloads : str
        Names; none means every workload that has the axes named.
    profile : {"quick", "standard", "full"}
    norm, model : str or object, or a sequence of them
        Norms and models by name, as ``module:attribute``, or as the factory itself.
    cases : dict, optional
        Values of other axes, such as ``{"depth": [5, 10]}``.
    seeds : int, optional
        Number of seeds.
    first_seed : int
    device : {"cpu", "cuda"}
    executor : str
        ``inline``, ``local`` or ``local:N``. A factory that other processes cannot import needs
        ``inline``.
    out : path, optional
        Folder of the run; a temporary one by default, whose path is in ``Run.folder``.

    Raises
    ------
    UsageError
        If the request cannot be carried out, with the remedy.
    """
    perform = parse_executor(executor)
    overrides: dict[str, tuple[Scalar, ...]] = {name: _many(values) for name, values in (cases or {}).items()}
    for axis, registry, subjects in (("norm", NORMS, norm), ("architecture", ARCHITECTURES, model)):
        given = _many(subjects)
        if given:
            if executor != "inline" and not all(isinstance(item, str) for item in given):
                raise UsageError(
                    f"executor {executor!r} takes a {registry.thing} by name or module:attribute; "
                    "pass it so, or use 'inline'"
                )
            overrides[axis] = _register(registry, given)
    settings = resolve(Settings(workloads, profile, overrides, seeds, first_seed, device))
    folder = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="ics-bench-")) / "run"
    with start(settings, folder) as session:
        found = session.measure(perform)
    if found.failed:
        first = found.failed[0]
        warnings.warn(
            f"{len(found.failed)} of {session.planned} cases failed, the first with {first.reason!r}; see Run.failed",
            stacklevel=2,
        )
    return found


def _register(registry: Registry, given: Sequence[object]) -> tuple[str, ...]:
    named: dict[str, object] = {}
    for item in given:
        name = registry.add(item)
        if named.setdefault(name, item) is not item and not isinstance(item, str):
            raise UsageError(f"two {registry.thing}s go by the name {name!r}; give each a name of its own with def")
    return tuple(named)


def judge(run: Run, *claims: str) -> list[Judgement]:
    """Judge the claims named; without one, those that the run was made for or, if for none, bears on."""
    from ics_bench.claims import judge_run

    return judge_run(run.measurements(), run.profile, claims or tuple(run.settings.get("claims", ())))


def _many(values: Any) -> tuple[Any, ...]:
    if values is None:
        return ()
    if isinstance(values, Iterable) and not isinstance(values, str | type):
        return tuple(values)
    return (values,)
