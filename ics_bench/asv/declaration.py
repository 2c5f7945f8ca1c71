"""What a suite declares, and the version under which asv keeps its results."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ics_bench.core import Metric, Profile, UsageError, Workload
from ics_bench.core.errors import unknown
from ics_bench.execution.plan import DEVICES, Settings, Task, resolve, several, subject_overrides, tasks_of
from ics_bench.workloads import load_workload


class Declared:
    """What is measured: the class attributes that every suite understands.

    Attributes
    ----------
    workload : str
        Name of a workload. A class without one is a base for others and benchmarks nothing.
    profile : {"quick", "standard", "full"}
    norm, model : str or factory, or a sequence of them
        Norms and architectures by name, as ``module:attribute``, or as the factory itself.
    cases : mapping of axis to value or values
        Replaces the profile's values on other axes, such as ``{"depth": [5, 10]}``.
    seeds : int, optional
        Number of seeds; a workload has its own number for a profile.
    device : {"cpu", "cuda"}
    """

    workload: ClassVar[str] = ""
    profile: ClassVar[Profile] = "quick"
    norm: ClassVar[Any] = ()
    model: ClassVar[Any] = ()
    cases: ClassVar[Mapping[str, Any]] = {}
    seeds: ClassVar[int | None] = None
    device: ClassVar[str] = "cpu"


def tasks_declared(suite: type[Declared]) -> list[Task]:
    """List what a suite measures: its cases, each with all its seeds.

    Raises
    ------
    UsageError
        If the suite names what does not exist, or a factory whose name belongs to another one, of this
        suite or of one declared before it.
    """
    overrides = {name: several(values) for name, values in suite.cases.items()}
    overrides |= subject_overrides(suite.norm, suite.model, replace=False)
    settings = Settings((suite.workload,), suite.profile, overrides, suite.seeds)
    if suite.device not in DEVICES:
        raise unknown("device", suite.device, DEVICES)
    # A suite for a GPU is listed where there is none; its cases are then skipped, each with its reason.
    return tasks_of(replace(resolve(settings), device=suite.device))


def version_of(workload: Workload, tasks: Sequence[Task], metric: Metric | None) -> str:
    """Digest of everything that gives a number its meaning; it changes when, and only when, that does.

    asv compares two results of one benchmark only if their versions are equal. Its own default, a
    hash of the source, would end the comparison with every edit.

    Parameters
    ----------
    workload : Workload
    tasks : sequence of Task
        What is measured.
    metric : Metric or None
        What is tracked; ``None`` for the time that measuring takes.
    """
    declared = {
        "workload": [workload.name, workload.version],
        "recipe": dict(workload.recipe),
        "cases": [[task.case.id, task.seeds, task.device] for task in tasks],
        "metric": metric and [metric.name, metric.unit, metric.better, metric.kind, metric.asv_ceiling],
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]


def require_as_discovered(suite: type, versions: Mapping[str, str]) -> None:
    """Refuse to measure a commit whose declaration differs from the one that asv discovered.

    asv lists benchmarks once, at one commit, and runs that list at every commit of the range: it
    hands over the number of a parameter, not its value, and files the result under the version that
    it discovered. At a commit with other cases it would file one case under another's name.

    Nothing is checked outside asv, or where its configuration cannot be read.

    Parameters
    ----------
    suite : type
        The suite being run.
    versions : mapping of benchmark name to version
        As declared at this commit.

    Raises
    ------
    UsageError
        Naming the benchmark and the remedy.
    """
    listed = _discovered()
    for name, version in versions.items():
        full = ".".join([*suite.__module__.split(".")[1:], suite.__name__, name])
        if full in listed and listed[full].get("version") != version:
            raise UsageError(
                f"{full} is declared otherwise at this commit than where asv discovered it; "
                "measure commits with different declarations by an `asv run` each"
            )


def _discovered() -> Mapping[str, Any]:
    folder = Path(os.environ.get("ASV_CONF_DIR", ""))
    for name in ("asv.conf.json", "asv.conf.jsonc"):
        try:
            settings = json.loads(re.sub(r"(?m)^\s*//.*$", "", (folder / name).read_text()))
            listed = json.loads((folder / settings.get("results_dir", "results") / "benchmarks.json").read_text())
        except (OSError, ValueError):
            continue
        return {key: value for key, value in listed.items() if isinstance(value, dict)}
    return {}


def workload_of(suite: type[Declared]) -> Workload:
    """Load the workload that a suite names."""
    return load_workload(suite.workload)
