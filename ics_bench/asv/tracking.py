"""Benchmarks that track a workload's metrics: measured once a commit, then read metric by metric."""

from __future__ import annotations

import functools
import math
import statistics
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypedDict

from ics_bench.asv.declaration import Declared, require_as_discovered, tasks_declared, version_of, workload_of
from ics_bench.core import Metric, UsageError, Workload
from ics_bench.execution.perform import perform
from ics_bench.execution.plan import Task

Trajectory = tuple[int | None, list[float]]
"""A seed, ``None`` for all of them together, with the curve of its measurement and, last, the value."""


class Outcome(TypedDict):
    """What measuring a suite gave, by case id; plain data, for asv to pickle."""

    values: dict[str, dict[str, list[float]]]
    trajectories: dict[str, dict[str, list[Trajectory]]]
    skipped: dict[str, str]
    failed: dict[str, str]


class TrackSuite(Declared):
    """Tracks the metrics of one workload. Subclass it in a module of ``benchmarks/``.

    Each metric becomes ``track_<metric>``, parametrised over the cases that it applies to: the median
    over seeds, as the finite, lower-is-better number that asv needs (`Metric.as_lower_is_better`). All are
    read from one measurement per commit. A skipped case is skipped with its reason. One that fails,
    or whose value cannot be tracked, fails: in asv ``nan`` would read as skipped.

    Attributes
    ----------
    metrics : tuple of str
        Names; empty means every headline metric that has a direction.
    timeout : float
        Seconds for reading one value.
    setup_cache_timeout : float
        Seconds for measuring all cases; and for one case on the more seeds that the gate asks for.

    Raises
    ------
    UsageError
        When a subclass names what does not exist, or a metric without a direction.

    Examples
    --------
    >>> class Ours(TrackSuite):
    ...     workload = "init_scale"
    ...     norm = "layer"
    """

    metrics: ClassVar[tuple[str, ...]] = ()
    timeout: ClassVar[float] = 60
    setup_cache_timeout: ClassVar[float] = 1800

    params: ClassVar[list[str]]
    param_names: ClassVar[list[str]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Generate the benchmarks that the subclass declares."""
        super().__init_subclass__(**kwargs)
        if not cls.workload:
            return
        workload, tasks = workload_of(cls), tasks_declared(cls)
        cls.params, cls.param_names = [task.case.id for task in tasks], ["case"]
        own = set(vars(cls))
        for name in dir(cls):
            if hasattr(getattr(cls, name), "_metric"):
                setattr(cls, name, None)  # generated for the parent, which may track other metrics
        versions = {}
        for metric in _tracked_metrics(workload, cls.metrics):
            name = f"track_{metric.name}"
            applying = [task for task in tasks if workload.applies(metric.name, task.case)]
            if name not in own and applying:
                versions[name] = version_of(workload, applying, metric)
                setattr(cls, name, _tracker(metric, applying, versions[name]))
        cls.setup_cache = _own_cache(cls, tasks, versions)  # type: ignore[attr-defined]

    def setup(self, outcome: Outcome, case: str) -> None:
        """Skip, in asv's way, a case that the workload skips here."""
        if case in outcome["skipped"]:
            raise NotImplementedError(outcome["skipped"][case])


def _tracked_metrics(workload: Workload, names: Sequence[str]) -> list[Metric]:
    if not names:
        return [metric for metric in workload.metrics if metric.headline and metric.better != "neutral"]
    chosen = [workload.metric(name) for name in names]
    for metric in chosen:
        if metric.better == "neutral":
            raise UsageError(f"metric {metric.name!r} of {workload.name!r} has no direction; asv cannot track it")
    return chosen


def _tracker(metric: Metric, tasks: Sequence[Task], version: str) -> Callable[[TrackSuite, Outcome, str], float]:
    def track(self: TrackSuite, outcome: Outcome, case: str) -> float:
        del self
        if case in outcome["failed"]:
            raise RuntimeError(outcome["failed"][case])
        return trackable(metric, outcome["values"][case].get(metric.name, ()))

    function: Any = track
    function.__name__ = f"track_{metric.name}"
    function.unit = tracked_unit(metric)
    function.params, function.param_names = [task.case.id for task in tasks], ["case"]
    function.version = version
    function.pretty_source = _explain(metric, tasks)
    function._metric = metric.name
    _declare(function, metric, tasks)
    return track


def _declare(function: Any, metric: Metric, tasks: Sequence[Task]) -> None:
    """Tell the gate what asv does not read: what the number is, and trajectories by seed where there are any."""
    function.kind = metric.kind
    if metric.kind in ("timing", "memory"):
        function.better = "lower"  # as tracked
        return
    function.better, function.native_unit = metric.better, metric.unit
    for name in ("smallest_effect", "smallest_ratio"):
        if getattr(metric, name) is not None:
            setattr(function, name, getattr(metric, name))
    if metric.infinity_is_best:
        function.infinity_is_best = True
    by_case = {task.case.id: task for task in tasks}
    function.by_seed = lambda outcome, case: by_seed(outcome, case, metric)
    if metric.kind == "seeded":
        function.on_seeds = lambda seeds, case: by_seed(_measured_on(by_case[case], tuple(seeds)), case, metric)


def by_seed(outcome: Outcome, case: str, metric: Metric) -> dict[int | None, list[float]]:
    """Trajectories of a metric by seed, in its own unit and direction; NaN and infinity included.

    A metric that is exact has no seeds to be paired by: its median stands for all. One of all seeds together is
    told by the metric that says the same `Metric.of_each_seed`.
    """
    if case in outcome["failed"]:
        raise RuntimeError(outcome["failed"][case])
    found = dict(outcome["trajectories"][case].get(metric.of_each_seed or metric.name, ()))
    if not found:
        raise ValueError(f"{metric.name} was not measured")
    if metric.kind == "exact":
        return {None: [statistics.median(trajectory[-1] for trajectory in found.values())]}
    return found


@functools.lru_cache
def _measured_on(task: Task, seeds: tuple[int, ...]) -> Outcome:
    return measure_all([replace(task, seeds=seeds)])


def trackable(metric: Metric, values: Sequence[float]) -> float:
    """Median of a metric over seeds, as asv needs it.

    Raises
    ------
    ValueError
        If there is no value, one is NaN, or the median has no finite lower-is-better form.
    """
    if not values:
        raise ValueError(f"{metric.name} was not measured")
    if any(math.isnan(value) for value in values):
        raise ValueError(f"{metric.name} is NaN: asv would take it for skipped")
    return metric.as_lower_is_better(statistics.median(values))


def tracked_unit(metric: Metric) -> str:
    """Name the unit of what is tracked: a higher-is-better metric is tracked as its reciprocal.

    Examples
    --------
    >>> tracked_unit(Metric("bandwidth", "GB/s", "higher", "timing"))
    '1/(GB/s)'
    >>> tracked_unit(Metric("accuracy", "1", "higher", "seeded"))
    '1/accuracy'
    """
    if metric.better != "higher":
        return metric.unit
    return f"1/{metric.name}" if metric.unit == "1" else f"1/({metric.unit})"


def _explain(metric: Metric, tasks: Sequence[Task]) -> str:
    lines = [f"{metric.name} [{metric.unit}], {metric.better} is better: {metric.summary or 'no summary'}"]
    lines.append(f"tracked as [{tracked_unit(metric)}], lower is better; median over seeds")
    lines += [f"{task.case.id}  seeds {', '.join(map(str, task.seeds))}" for task in tasks]
    return "\n".join(lines)


def measure_all(tasks: Sequence[Task]) -> Outcome:
    """Measure tasks in this process and sort what came of them."""
    outcome: Outcome = {"values": {}, "trajectories": {}, "skipped": {}, "failed": {}}
    for task in tasks:
        record = perform(task)
        if record.status == "measured":
            by_metric = outcome["values"].setdefault(task.case.id, {})
            trajectories = outcome["trajectories"].setdefault(task.case.id, {})
            for m in record.measurements:
                by_metric.setdefault(m.metric, []).append(m.value)
                curve = [*(m.curve.y if m.curve else ()), m.value]
                trajectories.setdefault(m.metric, []).append((m.seed, curve))
        else:
            outcome[record.status][task.case.id] = record.reason
    return outcome


def _own_cache(
    cls: type[TrackSuite], tasks: Sequence[Task], versions: dict[str, str]
) -> Callable[[TrackSuite], Outcome]:
    """Make a ``setup_cache`` whose result asv keeps apart from other suites'."""

    def setup_cache(self: TrackSuite) -> Outcome:
        require_as_discovered(type(self), versions)
        return measure_all(tasks)

    keep_apart(cls, setup_cache)
    function: Any = setup_cache
    function.timeout = cls.setup_cache_timeout
    return setup_cache


def keep_apart(cls: type, setup_cache: Callable[..., Any]) -> None:
    """Give a generated ``setup_cache`` a module of its own, named after its suite.

    asv names a cache after the module and the line where ``setup_cache`` is defined. One that suites
    inherit, or that one line generates for them all, is run for the first and handed to the rest.
    """
    home = types.ModuleType(f"{cls.__module__}.{cls.__qualname__}")
    sys.modules[home.__name__] = home
    setup_cache.__module__ = home.__name__
