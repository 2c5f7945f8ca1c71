"""The Python API: the same runs and judgements as the command line's, as objects."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ics_bench.core import Profile, Scalar, UsageError
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings, resolve, several, subject_overrides
from ics_bench.execution.session import start
from ics_bench.results.run import Run

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
    overrides: dict[str, tuple[Scalar, ...]] = {name: several(values) for name, values in (cases or {}).items()}
    for thing, subjects in (("norm", norm), ("model", model)):
        if executor != "inline" and not all(isinstance(item, str) for item in several(subjects)):
            raise UsageError(
                f"executor {executor!r} takes a {thing} by name or module:attribute; pass it so, or use 'inline'"
            )
    overrides |= subject_overrides(norm, model, replace=True)
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


def judge(run: Run, *claims: str) -> list[Judgement]:
    """Judge the claims named; without one, those that the run was made for or, if for none, bears on."""
    from ics_bench.claims import judge_run

    return judge_run(run.measurements(), run.profile, claims or tuple(run.settings.get("claims", ())))
