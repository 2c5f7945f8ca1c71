"""Kept evidence, and how a slice of it is measured again."""

import dataclasses
import math
import random
import subprocess
from pathlib import Path

import ics_bench
from ics_bench.core.environment import differences, fingerprint
from ics_bench.execution.perform import perform
from ics_bench.execution.plan import Task
from ics_bench.workloads import load_workload

ROOT = Path(ics_bench.__file__).parents[1]

CHEAP_SECONDS = 6.0
"""A case that took no longer is cheap enough for every commit; where there is none, the cheapest one is taken."""

DEAR_SEEDS = 2
"""Of a case that is not cheap, as many seeds are measured again."""

TOLERANCE = 0.1
"""Elsewhere a median must lie within what the seeds spanned, widened by this share of the median's size."""

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def revision():
    """Name what is tested: the commit, or the version where there is no git."""
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ics_bench.__version__


def slice_of(run, salt, amount=1):
    """Cheap measured cases of a run, drawn anew for every ``salt``."""
    measured = sorted(run.measured, key=lambda record: record.key)
    cheapest = min(measured, key=lambda record: record.seconds)
    cheap = [record for record in measured if record.seconds <= CHEAP_SECONDS] or [cheapest]
    return random.Random(salt).sample(cheap, min(amount, len(cheap)))


def dear_cases(run):
    """Cases that are not cheap and hold a number of each seed that may be compared."""
    return [
        record
        for record in sorted(run.measured, key=lambda record: record.key)
        if record.seconds > CHEAP_SECONDS
        and any(m.seed is not None and not varies(record.workload, m.metric) for m in record.measurements)
    ]


def dear_slice_of(run, salt):
    """One dear case of a run and some of its seeds, drawn anew for every ``salt``; None where there is no such case."""
    dear = dear_cases(run)
    if not dear:
        return None
    rng = random.Random(salt)
    record = rng.choice(dear)
    return record, tuple(sorted(rng.sample(record.seeds, min(DEAR_SEEDS, len(record.seeds)))))


def same_here(run):
    """Whether bits must agree: the same packages on the same kind of processor."""
    here = fingerprint()
    there = run.environment
    same = all(here["packages"].get(name) == there["packages"].get(name) for name in PACKAGES)
    return same and here["cpu"] == there["cpu"] and not differences(there, here)


def measure_again(record, seeds=None):
    """Measure a case of kept evidence on the same seeds, or some of them."""
    version = load_workload(record.workload).version
    assert record.version == version, f"{record.key} is evidence of another version than {version}; measure it again"
    again = perform(Task(record.workload, record.version, record.case, seeds or record.seeds, "cpu"))
    assert again.status == "measured", again.reason
    return again


def disagreements(kept, again, metrics, exact):
    """List the metrics in which two records of a case differ by more than may be; times always may.

    Where fewer seeds were measured again, their median is held against the span of all kept ones, and what belongs to
    all seeds together is left out.
    """
    if again.seeds != kept.seeds:
        exact = False
        kept, again = (by_seed(record) for record in (kept, again))
    found, workload = [], load_workload(kept.workload)
    for metric in sorted(metrics):
        if varies(kept.workload, metric):
            continue
        one, other = ({m.seed: m.value for m in record.measurements if m.metric == metric} for record in (kept, again))
        if not one and not other:
            continue
        if (one.keys() != other.keys()) if again.seeds == kept.seeds else not 0 < len(other) == len(other.keys() & one):
            found.append(f"{metric}: seeds {sorted(one, key=str)} became {sorted(other, key=str)}")
        elif exact or workload.metric(metric).kind == "exact":
            found += [
                f"{metric} of seed {s}: {one[s]!r} became {other[s]!r}" for s in other if not alike(one[s], other[s])
            ]
        elif not within(list(one.values()), list(other.values())):
            found.append(f"{metric}: median {middle(one.values())} became {middle(other.values())}")
    return found


def varies(workload, metric):
    """Whether a metric is never the same twice."""
    return load_workload(workload).metric(metric).kind in ("timing", "memory")


def by_seed(record):
    """Leave out what belongs to all seeds together."""
    return dataclasses.replace(record, measurements=tuple(m for m in record.measurements if m.seed is not None))


def alike(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


def middle(values):
    """Upper median; NaN, a failure, is the largest."""
    return sorted(values, key=lambda v: (math.isnan(v), v))[len(values) // 2]


def within(kept, again):
    """Whether the new median lies within what the kept values span; a failure is beyond all numbers."""
    new, numbers = middle(again), [v for v in kept if not math.isnan(v)]
    if math.isnan(new) or not numbers:
        return math.isnan(new) and len(numbers) < len(kept)
    centre = middle(kept)
    room = TOLERANCE * abs(centre) if math.isfinite(centre) else 0.0
    highest = math.inf if len(numbers) < len(kept) else max(numbers)
    return min(numbers) - room <= new <= highest + room
