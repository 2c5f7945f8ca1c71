"""Runs of one case of init_scale, which its tests share."""

import functools
from collections import defaultdict

from ics_bench.workloads.init_scale import WORKLOAD

PAGE = "numpy-legacy-42"
DEFAULTS = {
    "init": "he",
    "activation": "relu",
    "norm": "none",
    "dtype": "float64",
    "batch_size": 128,
    "width": 256,
    "depth": 50,
    "draws": "generator",
}
SMALL = {"width": 48, "depth": 12, "batch_size": 16}


def one_case(**values):
    (case,) = WORKLOAD.cases("quick", {key: [value] for key, value in {**DEFAULTS, **values}.items()})
    assert WORKLOAD.skip(case, "cpu") is None
    return case


def measured(seeds=(0,), **values):
    """Metric name → measurements, in the order of the seeds."""
    found = defaultdict(list)
    for measurement in WORKLOAD.measure(one_case(**values), seeds, "cpu"):
        found[measurement.metric].append(measurement)
    return found


seen = functools.cache(measured)
"""The same, for tests that only read."""


def value(found, metric):
    (measurement,) = found[metric]
    return measurement.value
