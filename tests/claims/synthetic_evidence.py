"""Measurements made up for the judge's tests, and the smallest catalogues that read them."""

import numpy as np

from ics_bench.claims import parse_catalogue
from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.rules import RULES
from ics_bench.core import Case, Curve, Measurement

SEEDS = range(11)
WOBBLE = np.array([0.0, 0.3, -0.2, 0.1, -0.4, 0.25, -0.15, 0.35, -0.05, 0.2, -0.3])
GRID = tuple(10.0 ** (half / 2) for half in range(-10, 3))

HEAD = """
schema = 1
[[claim]]
id = "{id}"
section = "s"
statement = "s"
page = "p"
definition = "d"
source = "s"
caveat = ""
family = "{family}"
tier = "{tier}"
seeds = {seeds}
least_seeds = {least_seeds}
registered = "supported"
budget_seconds = 1
rule = "{rule}"
workload = "w"
"""


def claim(body, **fields):
    """One claim with ``body`` appended to its header."""
    least = 11 if fields.get("family") == "training" else 3
    values = {"id": "c", "family": "theory", "tier": "standard", "seeds": 11, "least_seeds": least, "rule": "within"}
    (parsed,) = parse_catalogue(HEAD.format(**{**values, **fields}) + body)
    return parsed


def by_seed(metric, values, **case):
    """One value a seed, in one case."""
    return [Measurement("w", Case.of(case), seed, metric, float(v), "1") for seed, v in enumerate(values)]


def ceilings(case, succeeds, seeds=SEEDS, rates=GRID, question="trainable", reported=None):
    """What a ceiling search reports where ``succeeds(rate, seed)``."""
    outcomes = {seed: tuple(float(succeeds(rate, seed)) for rate in rates) for seed in seeds}
    majority = [2 * sum(row[i] for row in outcomes.values()) > len(outcomes) for i in range(len(rates))]
    top = max((rate for rate, won in zip(rates, majority, strict=True) if won), default=0.0)
    warnings = ("censored: at least 10",) if majority[-1] else ()
    value = top if reported is None else reported
    name = Case.of(case)
    found = [Measurement("w", name, None, f"{question}_ceiling", value, "1", warnings=warnings)]
    for seed, row in outcomes.items():
        curve = Curve(rates, row, "learning_rate")
        found.append(Measurement("w", name, seed, f"outcome_{question}", sum(row) / len(row), "1", curve))
    return found


def find(rule, parameters, seeds=2, **arms):
    """Judge arms given as values by seed."""
    evidence, selected = [], {}
    for role, values in arms.items():
        name = role.replace("__", ".")
        evidence += by_seed("m", values, arm=name)
        selected[name] = Arm("w", Case.of(arm=name))
    return RULES[rule](**{"metric": "m", **parameters}).find(Evidence(evidence), selected, seeds)
