"""Claims of the catalogue, judged as they are written, on the settings and seeds that a test can afford."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from ics_bench.claims import Arm, judge, load_catalogue, requirements, select
from ics_bench.core import Case
from ics_bench.execution.perform import perform
from ics_bench.execution.plan import Task
from ics_bench.workloads import load_workload

FIRST_SEED = 1000
"""Far from the seeds on which verdicts are confirmed."""

TESTS = Path(__file__).parents[1]


def small(claim_id, *names, controls=(), seeds=None):
    """A claim whose verdict rests on the named settings alone, on the fewest seeds that it is judged on.

    A negative control can be named too: it is a statement that must be supported.
    """
    (claim,) = select(load_catalogue(), [claim_id])
    every = {setting.name: setting for setting in (*claim.settings, *claim.controls)}
    chosen = tuple(replace(every[name], primary=True) for name in names)
    seeds = seeds or claim.least_seeds
    kept = tuple(every[name] for name in controls)
    return replace(claim, settings=chosen, controls=kept, seeds=seeds, least_seeds=seeds)


def with_norm(claim, name):
    """The same claim about another norm: wherever it compares batch norm."""

    def other(arm):
        return Arm(arm.workload, Case.of({**arm.pins, "norm": name})) if arm.pins.get("norm") == "batch" else arm

    settings = tuple(replace(s, arms={role: other(arm) for role, arm in s.arms.items()}) for s in claim.settings)
    return replace(claim, settings=settings)


def records(claim):
    """Measure what a claim needs, as a run does; a case that fails is a record that says so."""
    found = []
    for name, cases in requirements([claim], "standard").items():
        for case, count in cases.items():
            seeds = tuple(range(FIRST_SEED, FIRST_SEED + count))
            found.append(perform(Task(name, load_workload(name).version, case, seeds, "cpu")))
    return found


def measure(claim):
    """Measurements of a claim's cases, none of which may fail."""
    found = records(claim)
    assert [record.reason for record in found if record.status != "measured"] == []
    return [measurement for record in found for measurement in record.measurements]


def verdicts(claim, measurements=None):
    """The claim's verdict, then that of every setting and control by name."""
    judgement = judge(claim, measure(claim) if measurements is None else measurements, "standard")
    findings = {**judgement.settings, **judgement.controls}
    return judgement.verdict, {name: finding.verdict for name, finding in findings.items()}


def other_tests(path):
    """Load another file of tests anew, so that its checks can be run while a fault is planted."""
    spec = importlib.util.spec_from_file_location(f"planted_{Path(path).stem}", TESTS / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
