"""What a decision's JSON holds is enough to decide again."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import fields, replace

import pytest
from synthetic_pairs import Synthetic, always, noisy, seeded, timing

from ics_bench.core.text import decode_number
from ics_bench.gate.calibrate import busy
from ics_bench.gate.decision import decide
from ics_bench.gate.encode import encode
from ics_bench.gate.evidence import Evidence, Keeping, describe_machine
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Observation, Pair
from ics_bench.kernels.machine import Load

TRUTH = {
    "slow": noisy(1.5, cv=0.02),
    "fast": noisy(0.6, cv=0.02),
    "same": noisy(cv=0.01),
    "open": noisy(cv=3.0),
    "stopped clock": always(Observation(1.0, 0.0), Observation(1.2, 0.0)),
    "broken": always(Observation(1.0), Observation(math.nan, error="RuntimeError: no")),
    "memory": always(Observation(1e8), Observation(2e8)),
    "accuracy": seeded([[0.5, 0.9]] * 16, [[0.5, 0.7]] * 16),
    "diverged": seeded([[1.0]] * 16, [*[[1.0]] * 15, [math.nan]]),
    "crashes in turns": always(Observation(1.0), Observation(1.0, failed_in_turns="SIGSEGV")),
    "unsure": always(Observation(1.0), Observation(2.0)),
}
OTHERS = [
    Benchmark("memory", "memory", "bytes", "lower"),
    Benchmark("accuracy", "seeded", "1", "higher", smallest_effect=0.02),
    Benchmark("diverged", "seeded", "1", "lower", smallest_effect=0.1),
    Benchmark("unsure", "exact", "1", "lower"),
]
LISTED = [*(timing(name) for name in TRUTH if name not in {other.name for other in OTHERS}), *OTHERS]


def observations(column):
    size = len(next(iter(column.values())))
    values, none = [decode_number(value) for value in column.get("value", [])], [None] * size
    seeds = [
        found and {int(seed): [decode_number(value) for value in curve] for seed, curve in found.items()}
        for found in column.get("seeds", none)
    ]
    said = (column.get(name, [""] * size) for name in ("error", "failed_in_turns"))
    rows = zip(values, column.get("cpu_seconds", none), seeds, *said, strict=True)
    return [Observation(*row) for row in rows]


def decide_again(content):
    """The decision from nothing but its JSON."""
    listed, stored = [], {}
    for result in content["results"]:
        listed.append(Benchmark(**{field.name: result[field.name] for field in fields(Benchmark)}))
        kept = result["pairs"]
        sides = [observations(kept[side]) for side in ("base", "head")]
        unsure = kept.get("unsure", [""] * len(sides[0]))
        stored[result["name"]] = [Pair(*both, unsure=why) for *both, why in zip(*sides, unsure, strict=True)]
    kinds = {benchmark.name: benchmark.kind for benchmark in listed}

    def measure(names, pairs):
        found = {}
        for name in names:
            size = pairs if kinds[name] in ("timing", "memory") else len(stored[name])
            found[name], stored[name] = stored[name][:size], stored[name][size:]
        return found

    rule = Rule(**{**content["rule"], "looks": tuple(content["rule"]["looks"])})
    return decide(listed, listed, measure, rule)


@pytest.mark.parametrize("budget", [None, 40])
def test_a_decision_is_recomputed_from_its_json(budget):
    synthetic = Synthetic(TRUTH) if budget is None else Synthetic(TRUTH, budget=budget)

    def measured(names, pairs):
        """What differs and could not be looked at again is left unsure."""
        found = synthetic(names, pairs)
        unsure = [replace(pair, unsure="the budget ended") for pair in found.get("unsure", [])]
        return {**found, "unsure": unsure} if unsure else found

    measure = Keeping(measured)
    decision = decide(LISTED, LISTED, measure, Rule(margin=0.04))
    held = encode(replace(decision, evidence=Evidence(7, measure.pairs, describe_machine())))
    content = json.loads(held, parse_constant=pytest.fail)
    assert content["seed"] == 7
    again = decide_again(content)
    assert {r.name: (r.verdict, r.reason, str(r.readings)) for r in again.results} == {
        r.name: (r.verdict, r.reason, str(r.readings)) for r in decision.results
    }
    assert again.exit_code == decision.exit_code == 1


def test_the_log_ratios_are_those_that_were_tested():
    measure = Keeping(Synthetic({"slow": noisy(1.5, cv=0.02)}))
    decision = decide([timing("slow")], [timing("slow")], measure)
    (result,) = json.loads(encode(replace(decision, evidence=Evidence(0, measure.pairs, {}))))["results"]
    pairs = result["pairs"]
    wall = [math.log(h / b) for b, h in zip(pairs["base"]["value"], pairs["head"]["value"], strict=True)]
    assert pairs["log_ratios"]["wall time"] == pytest.approx(wall)
    assert sorted(wall)[len(wall) // 2] == pytest.approx(math.log(1.5), abs=0.03)


BURN = "import time\nwhile time.process_time() < 1: pass"


def test_what_our_children_use_is_ours_and_what_others_use_is_warned_about():
    with Load(with_children=True) as load:
        subprocess.run([sys.executable, "-c", BURN], check=True)
    assert load.own_seconds > 0.9
    with busy(1):
        time.sleep(0.5)
        with Load(with_children=True) as load:
            time.sleep(1)
    (warning,) = load.others_warnings()
    assert warning.startswith("contended: others used ")
