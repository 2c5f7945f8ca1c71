"""The error rates that the gate promises, replayed from noise whose distribution is known."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from ics_bench.gate.error_rates import AS_RECORDED, GATE, encode_lines, error_rates, rate
from ics_bench.gate.recording import Noise, Recording, load_recordings, save_recordings
from ics_bench.gate.replay import Resampled, noise_cv, replay
from ics_bench.gate.rivals import asv_rule, mann_whitney, mean_over_10_percent, median_over_7_percent, replay_rivals
from ics_bench.gate.rule import Rule

RULE = Rule()


def recorded(cv, benchmarks=4, pairs=200, seed=0, tails=math.inf, drift=0.0, load="synthetic"):
    """Noise of known size: pairs share a drift, and each side has its own part, heavy-tailed if asked for."""
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.normal(0, drift, 2 * pairs)).reshape(pairs, 2)

    def times(spread):
        own = generator.normal(size=(pairs, 2)) if math.isinf(tails) else generator.standard_t(tails, (pairs, 2))
        return (1e-3 * np.exp(spread / math.sqrt(2) * own + walk)).T.tolist()

    found = {}
    for place in range(benchmarks):
        wall, cpu = times(cv), times(0.7 * cv)
        found[f"b{place}"] = Noise(*map(tuple, (*wall, *cpu)))
    coins = generator.random((2, pairs)) < 0.5
    return Recording(load, "2026-11-25T00:00:00+00:00", found, tuple(coins[0].tolist()), tuple(coins[1].tolist()))


QUIET, NOISY, TAILED = {"cv": 0.03}, {"cv": 0.1}, {"cv": 0.15, "tails": 2}


@pytest.mark.parametrize(("noise", "factor"), [(QUIET, 1.03), (NOISY, 1.0), (TAILED, 1.03)], ids=str)
def test_false_alarms_are_at_most_one_percent_of_suite_runs(noise, factor):
    runs = 120
    tally = replay(recorded(**noise), factor, runs, RULE, seed=1)
    assert tally.alarms <= 0.01 * runs + 4 * math.sqrt(0.01 * runs)  # a rate of 1 % gives more in 1 of 10,000 tests
    assert tally.share("regression") <= 0.005


def test_a_rule_that_cries_wolf_is_found_out():
    tally = replay(recorded(0.05), 1.03, 40, Rule(family_error=0.9), seed=1)
    assert tally.alarms > 5


@pytest.mark.parametrize(("cv", "factor"), [(0.05, 1.1), (0.1, 1.1), (0.15, 1.15)])
def test_power_is_as_promised(cv, factor):
    tally = replay(recorded(cv), factor, 80, RULE, seed=2)
    assert tally.share("regression") >= 0.95
    assert tally.share("no change", "improvement") <= 0.05
    assert tally.share("inconclusive") <= 0.05


@pytest.mark.parametrize("cv", [0.1, 0.4])
def test_growth_by_the_bound_is_not_called_unchanged(cv):
    tally = replay(recorded(cv), 1.1, 100, RULE, seed=3)
    assert tally.share("no change", "improvement") <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)


def test_unchanged_suites_end_early_and_decided():
    tally = replay(recorded(0.05), 1.0, 50, RULE, seed=4)
    assert tally.share("no change") > 0.99
    assert tally.pairs / tally.runs < 40


@pytest.mark.full
@pytest.mark.parametrize("factor", [1.0, 1.03])
@pytest.mark.parametrize("noise", [QUIET, NOISY, {"cv": 0.3}, TAILED], ids=str)
def test_false_alarms_over_thousands_of_suite_runs(noise, factor):
    runs = 3000
    alarms = sum(
        replay(recorded(**noise, benchmarks=8, seed=s), factor, runs // 10, RULE, seed=s).alarms for s in range(10)
    )
    assert alarms <= 0.01 * runs + 3 * math.sqrt(0.01 * runs)


def test_a_replay_draws_whole_blocks_for_all_benchmarks_and_slows_only_what_it_is_told_to():
    noise = Noise(*(tuple(np.arange(1.0, 41.0) * size) for size in (1, 10, 100, 1000)))
    recording = Recording("l", "t", {"a": noise, "b": noise}, (False,) * 40, (False,) * 40)
    drawn = Resampled(recording, {"a": 2.0}, np.random.default_rng(0))(["a", "b"], 24)
    swapped = {pair.base.value > 4.5 * pair.head.value for pair in drawn["b"]}
    assert swapped == {True, False}
    places = []
    for one, other in zip(drawn["a"], drawn["b"], strict=True):
        assert other.base.value == pytest.approx(one.base.value, rel=1e-4)
        assert 2 * other.head.value == pytest.approx(one.head.value, rel=1e-4)
        assert 2 * other.head.cpu_seconds == pytest.approx(one.head.cpu_seconds, rel=1e-4)
        places.append(round(min(other.base.value, other.head.value)))
    steps = {
        (after - before) % 40
        for block in range(0, 24, 8)
        for before, after in zip(places[block : block + 8], places[block + 1 : block + 8], strict=False)
    }
    assert steps == {1}


def test_a_side_that_was_recorded_slower_shows_where_sides_are_not_swapped():
    fair = recorded(0.03)
    noises = {
        name: Noise(n.base_wall, tuple(1.2 * t for t in n.head_wall), n.base_cpu, tuple(1.2 * t for t in n.head_cpu))
        for name, n in fair.benchmarks.items()
    }
    biased = Recording("l", "t", noises, fair.head_first, fair.swapped)
    assert replay(biased, 1.0, 10, RULE).alarms == 0
    assert replay(biased, 1.0, 10, RULE, swap=False).alarms == 10
    assert replay(fair, 1.0, 10, RULE, swap=False).alarms == 0


def test_equal_seeds_give_equal_tallies():
    first, again, other = (replay(recorded(0.2), 1.1, 10, RULE, seed=s) for s in (7, 7, 8))
    assert first == again
    assert first != other


def test_noise_without_processor_times_is_replayed_too():
    plain = {name: Noise(n.base_wall, n.head_wall) for name, n in recorded(0.05).benchmarks.items()}
    whole = recorded(0.05)
    recording = Recording("l", "t", plain, whole.head_first, whole.swapped)
    assert replay(recording, 1.2, 8, RULE).share("regression") == 1.0
    assert math.isnan(noise_cv(recording, "b0")[1])
    assert noise_cv(recording, "b0")[0] == pytest.approx(0.05, rel=0.2)


BASE = np.full((1, 16), 1.0) + np.linspace(0, 0.02, 16)


@pytest.mark.parametrize(("factor", "called"), [(1.02, "m"), (1.08, "m7"), (1.5, "mM7a"), (0.9, "")])
def test_the_other_rules_are_what_they_are_called(factor, called):
    rules = {"M": mean_over_10_percent, "7": median_over_7_percent, "m": mann_whitney, "a": asv_rule()}
    for letter, rule in rules.items():
        if rule is None:
            pytest.skip("asv is not installed here: pip install 'ics-bench[test]'")
        assert rule(BASE, BASE * factor)[0] == (letter in called), letter


def test_drift_fools_the_rules_that_take_all_of_a_before_all_of_b():
    drifting = recorded(0.02, drift=0.05, seed=5)
    tallies = replay_rivals(drifting, 1.0, 40, RULE)
    for rule in ("mean over 10 %", "median over 7 %", "Mann–Whitney, p < .05"):
        assert tallies[rule, "A then B"].alarms > 2 * tallies[rule, "interleaved"].alarms
        assert tallies[rule, "A then B"].alarms > 5
    assert replay(drifting, 1.0, 40, RULE).alarms <= 3


def test_a_recording_too_short_for_the_other_rules_is_refused():
    with pytest.raises(ValueError, match="8 pairs; the other rules need 16"):
        replay_rivals(recorded(0.1, pairs=8), 1.0, 1, RULE)


def test_intervals_are_over_recordings():
    assert rate([0.0, 0.5]).interval == (0.0, 0.5)
    assert math.isnan(rate([0.5]).interval.low)
    assert math.isnan(rate([0.0, 0.0, 0.0]).interval.high)
    assert rate([0.25, math.nan, 0.25]).recordings == 2
    assert math.isnan(rate([]).value)


def test_error_rates_come_by_load_rule_and_factor():
    recordings = [
        recorded(cv, 2, seed=s, load=load) for s, (cv, load) in enumerate([(0.02, "x"), (0.02, "x"), (0.5, "y")])
    ]
    lines = error_rates(recordings, 4, RULE, (1.0, 1.2))
    mine = {(line.load, line.factor): line for line in lines if (line.rule, line.order) == GATE}
    assert mine.keys() == {("x", 1.0), ("x", 1.2), ("y", 1.0), ("y", 1.2)}
    assert mine["x", 1.2].detected.value == 1.0
    assert mine["x", 1.2].calm_detected.recordings == 2
    assert mine["y", 1.2].calm_detected.recordings == 0
    assert mine["x", 1.0].runs == 8
    assert {line.factor for line in lines if (line.rule, line.order) == AS_RECORDED} == {1.0, 1.2}
    text = json.dumps(encode_lines(lines, recordings, RULE), allow_nan=False)
    assert json.loads(text)["recordings"][2]["noise"]["b0"]["wall"] == pytest.approx(0.5, rel=0.2)


def test_the_calibration_command(tmp_path):
    noise = save_recordings(tmp_path / "noise.json.gz", [recorded(0.03, 2, 40)])
    script = Path(__file__).parents[2] / "benchmarks/gate_calibration.py"
    command = [sys.executable, script, noise, "--runs", "2", "--workers", "1", "--json", tmp_path / "rates.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ics-bench gate" in done.stdout
    assert json.loads((tmp_path / "rates.json").read_text(), parse_constant=pytest.fail)["schema"] == 1


def test_the_documentation_says_what_the_kept_calibration_gives():
    root = Path(__file__).parents[2]
    lines = json.loads((root / "reports/gate/calibration.json").read_text())["lines"]
    found = {(line["load"], line["rule"], line["order"], line["factor"]): line for line in lines}
    documented = (root / "reports/README.md").read_text()
    rows = re.findall(r"^\| ((?:quiet|one busy core|two busy cores) \| .*) \|$", documented, flags=re.MULTILINE)
    asked = [(1.0, "alarms"), (1.03, "alarms"), (1.1, "detected"), (1.15, "detected"), (1.1, "missed")]
    assert len(rows) == 15
    for row in rows:
        load, rule, *told = row.split(" | ")
        order = "interleaved" if rule == GATE[0] else "A then B"
        rates = [found[load, rule, order, factor][name]["value"] for factor, name in [*asked, (1.0, "open_runs")]]
        assert told == [f"{100 * rate:.1f}" for rate in rates], (load, rule)


def test_the_kept_calibration_is_of_the_kept_noise():
    folder = Path(__file__).parents[2] / "reports/gate"
    recordings = load_recordings(folder / "noise.json.gz")
    kept = json.loads((folder / "calibration.json").read_text())
    assert [(r.load, r.started, r.pairs) for r in recordings] == [
        (r["load"], r["started"], r["pairs"]) for r in kept["recordings"]
    ]
    assert kept["rule"] == json.loads(json.dumps(asdict(RULE)))
