"""How pairs of epochs are taken: in which processes, in which order, and until when."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_suites import epochs, journal, write_suite

from ics_bench.core import UsageError
from ics_bench.gate.decision import decide
from ics_bench.gate.live import LiveMeasure, balanced
from ics_bench.gate.series import same_seeds


@given(st.integers(0, 60), st.integers())
def test_half_of_the_draws_are_true_in_random_order(number, seed):
    drawn = balanced(number, random.Random(seed))
    assert len(drawn) == number
    assert abs(2 * sum(drawn) - number) <= 1


def test_the_order_of_the_draws_is_drawn():
    rng = random.Random(1)
    assert len({tuple(balanced(16, rng)) for _ in range(50)}) > 45


NAN = math.nan


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({0: [1.0, NAN]}, {0: [1.0, NAN]}, True),
        ({0: [1.0]}, {0: [1.0 + 1e-16]}, True),
        ({0: [1.0]}, {0: [1.0 + 3e-16]}, False),
        ({0: [1.0]}, {1: [1.0]}, False),
        ({0: [1.0]}, {0: [1.0, 1.0]}, False),
        ({0: [NAN]}, {0: [1.0]}, False),
        ({}, None, False),
        (None, None, True),
    ],
)
def test_trajectories_are_the_same_to_the_last_bit(one, other, equal):
    assert same_seeds(one, other) is equal


THREE = """
class Timed:
    def time_a(self): note("a")
    def time_b(self): note("b")
    def time_c(self): note("c")
    time_a.number = time_b.number = time_c.number = 1
"""


def test_pairs_of_epochs(project, live):
    write_suite(project, THREE)
    ready = live()
    journal(project)
    pairs = 8
    measured = ready.measure([benchmark.name for benchmark in ready.head], pairs)
    taken = epochs(journal(project))
    assert len(taken) == 2 * pairs  # a fresh process a side and pair, and every benchmark in it
    orders = [tuple(dict.fromkeys(entry["name"] for entry in epoch)) for epoch in taken]
    assert {len(order) for order in orders} == {3}
    assert orders[::2] == orders[1::2]  # both sides of a pair in one order
    assert len(set(orders)) > 1  # which varies from pair to pair
    sides = [epoch[0]["side"] for epoch in taken]
    assert all({first, second} == {42, 43} for first, second in zip(sides[::2], sides[1::2], strict=True))
    assert sides[::2].count(43) == pairs // 2  # each side comes first as often
    names = {
        side: [Path(epoch[0]["prefix"]).parent.name for epoch in taken if epoch[0]["side"] == side] for side in (42, 43)
    }
    assert sorted(names[42]) == sorted(names[43]) == ["a"] * (pairs // 2) + ["b"] * (pairs // 2)  # names are swapped
    assert all(name != other for name, other in zip(names[42], names[43], strict=True))
    assert all(entry["files"].startswith(str(Path(entry["prefix"]).parent)) for epoch in taken for entry in epoch)
    assert len({epoch[0]["hash"] for epoch in taken}) == len(taken)
    assert {(entry["gc"], entry["threads"]) for epoch in taken for entry in epoch} == {(False, "1")}
    for found in measured.values():
        assert [pair.head_first for pair in found] == [side == 43 for side in sides[::2]]
        assert [pair.swapped for pair in found] == [name == "a" for name in names[43]]
        assert all(pair.base.value > 0 and pair.head.cpu_seconds >= 0 for pair in found)


def test_what_crashes_or_hangs_takes_nobody_else_with_it(project, live):
    write_suite(
        project,
        """
import os, time
def crash():
    if answers.ANSWER == 43:
        os.kill(os.getpid(), 11)
def hang():
    if answers.ANSWER == 43:
        time.sleep(600)
def time_crash(): crash()
def time_hang(): hang()
time_hang.timeout = 1.5
def time_fine(): note("fine")
time_fine.number = 1
def track_crash(): crash(); return 1
def track_fine(): return answers.ANSWER
""",
    )
    ready = live()
    measured = ready.measure([benchmark.name for benchmark in ready.head], 2)
    errors = {name: [pair.head.error for pair in pairs] for name, pairs in measured.items()}
    assert errors["suite.time_crash"] == errors["suite.track_crash"] == ["its process killed by SIGSEGV"]
    assert errors["suite.time_hang"] == ["timed out after 1.5 s"]
    assert errors["suite.time_fine"] == ["", ""]
    assert not any(pair.base.error for pairs in measured.values() for pair in pairs)
    assert [(pair.base.value, pair.head.value) for pair in measured["suite.track_fine"]] == [(42, 43)] * 2


def test_what_is_deterministic_is_not_repeated_and_what_varies_is(project, live):
    write_suite(
        project,
        """
import random
def track_fixed():
    note("fixed")
    return 1
def track_wild():
    return random.random()
def track_said_to_be_fixed():
    return random.random()
track_said_to_be_fixed.kind = "exact"
""",
    )
    ready = live()
    assert len(journal(project)) == 4  # twice a side
    kinds = {benchmark.name: benchmark.kind for benchmark in ready.head}
    assert kinds == {
        "suite.track_fixed": "exact",
        "suite.track_wild": "timing",
        "suite.track_said_to_be_fixed": "exact",
    }
    measured = ready.measure(list(kinds), 3)
    assert not (project.folder / "journal").exists()
    assert len({pair.base.value for pair in measured["suite.track_wild"]}) == 3
    first, second = measured["suite.track_said_to_be_fixed"]  # both travel, for the decision to see that they differ
    assert first.base.value != second.base.value


SEEDED = """
def track_loss(): raise ValueError("asv cannot hold it")
track_loss.kind, track_loss.better, track_loss.smallest_effect = "seeded", "lower", 0.1
track_loss.by_seed = lambda: {0: [1.0, 2.0], 1: [1.0, WORSE]}
def on_seeds(seeds):
    note(f"{min(seeds)}..{max(seeds)}")
    return {seed: [answers.ANSWER + seed] for seed in seeds}
track_loss.on_seeds = on_seeds
"""


@pytest.mark.parametrize(("worse", "seeds"), [("3.0", [0, 1]), ("answers.ANSWER", [*range(18)])])
def test_trajectories_that_differ_are_measured_on_fresh_seeds_too_and_enough(project, live, worse, seeds):
    write_suite(project, SEEDED.replace("WORSE", worse))
    ready = live()
    (pair,) = ready.measure(["suite.track_loss"], 1)["suite.track_loss"]
    assert sorted(pair.base.seeds) == sorted(pair.head.seeds) == seeds
    if len(seeds) > 2:
        assert [entry["name"] for entry in journal(project)] == ["2..17"] * 2
        assert pair.head.seeds[5] == (48.0,)
        assert pair.base.seeds[5] == (47.0,)


def test_fresh_seeds_that_head_alone_can_give_are_not_asked_of_base(project, live):
    write_suite(project, SEEDED.replace("WORSE", "answers.ANSWER").replace("track_loss.on_seeds = on_seeds", ""))
    project.append("benchmarks/suite.py", "track_loss.on_seeds = on_seeds\n")
    project.git("add", "-A")
    project.git("commit", "-q", "--amend", "-m", "worse, and it can be asked for more")
    ready = live()
    (pair,) = ready.measure(["suite.track_loss"], 1)["suite.track_loss"]
    assert not pair.base.error
    assert sorted(pair.base.seeds) == sorted(pair.head.seeds) == [0, 1]


def test_a_divergence_on_the_first_seeds_is_not_taken_back_by_fresh_ones(project, live):
    mended = SEEDED.replace("answers.ANSWER + seed", "seed if answers.ANSWER == 43 or seed < 9 else inf")
    diverged = mended.replace("WORSE", "2.0 if answers.ANSWER == 42 else inf")
    write_suite(project, f"from math import inf\n{diverged}")
    ready = live()
    (result,) = decide(ready.base, ready.head, ready.measure).results
    assert result.verdict == "regression"
    assert result.reason == "not finite on head alone, on 1 of 2 seeds"


def test_seeds_that_head_lost_are_not_forgotten_for_fresh_ones(project, live):
    lost = SEEDED.replace("1: [1.0, WORSE]}", "**({1: [1.0, 2.0]} if answers.ANSWER == 42 else {})}")
    write_suite(project, lost)
    ready = live()
    (result,) = decide(ready.base, ready.head, ready.measure).results
    assert (result.verdict, result.reason) == ("error", "head has no value on seed 1, and base has")


CASES = """
import time
class Suite:
    params = ["x", "y"]
    timeout = 1
    def setup_cache(self): return 0
    setup_cache.timeout = 60
    def track_loss(self, cache, letter): pass
    def track_error(self, cache, letter): pass
measured = set()
def on_seeds(seeds, letter):
    if letter not in measured:
        time.sleep(SLEEP)
    measured.add(letter)
    note(letter)
    return {seed: [answers.ANSWER + seed] for seed in seeds}
for track in (Suite.track_loss, Suite.track_error):
    track.kind, track.better, track.smallest_effect = "seeded", "lower", 0.1
    track.by_seed, track.on_seeds = lambda cache, letter: {0: [answers.ANSWER]}, on_seeds
"""


def test_the_metrics_of_a_case_share_a_process_on_fresh_seeds_and_the_time_that_their_cache_may_take(project, live):
    write_suite(project, CASES.replace("SLEEP", "2"))
    ready = live()
    taken = epochs(journal(project))
    assert sorted(sorted(entry["name"] for entry in epoch) for epoch in taken) == [["x", "x"]] * 2 + [["y", "y"]] * 2
    found = ready.measure([benchmark.name for benchmark in ready.head], 1)
    assert all(len(pair.head.seeds) == 17 and not pair.head.error for (pair,) in found.values())


def test_fresh_seeds_are_not_begun_when_the_budget_has_ended(project, live, monkeypatch):
    write_suite(project, CASES.replace("SLEEP", "0"))
    monkeypatch.setattr(LiveMeasure, "_time_left", lambda self: not self.settled)
    ready = live()
    assert not (project.folder / "journal").exists()
    decision = decide(ready.base, ready.head, ready.measure)
    assert {(result.verdict, result.reason) for result in decision.results} == {
        ("inconclusive", "differs, and the budget ended before it was measured again")
    }


WILD = """
import random, time
class Suite:
    def setup_cache(self):
        note("cache")
        return random.random()
    def track_wild(self, cache): return cache
    track_wild.better = "lower"
    def track_fixed(self, cache): return 1
    track_fixed.better = "lower"
    def track_changed(self, cache): return answers.ANSWER
    track_changed.better = "lower"
"""


def test_numbers_out_of_a_cache_that_differ_are_looked_at_again_before_they_convict(project, live):
    write_suite(project, WILD)
    ready = live()
    assert len(journal(project)) == 4  # once more a side
    kinds = {benchmark.name.rpartition("_")[2]: benchmark.kind for benchmark in ready.head}
    assert kinds == {"wild": "timing", "fixed": "exact", "changed": "exact"}
    exact = [benchmark for benchmark in ready.head if benchmark.kind == "exact"]
    found = {result.name: result.verdict for result in decide(exact, exact, ready.measure).results}
    assert found == {"suite.Suite.track_fixed": "no change", "suite.Suite.track_changed": "regression"}


def test_numbers_that_take_long_and_differ_are_looked_at_again_too(project, live, monkeypatch):
    monkeypatch.setattr("ics_bench.gate.live.AGAIN_SECONDS", 0.0)
    write_suite(
        project, "import random\ndef track_wild(): return random.random()\ndef track_fixed(): return note(0) or 1"
    )
    ready = live()
    assert len(journal(project)) == 2
    assert {benchmark.kind for benchmark in ready.head} == {"timing", "exact"}


def test_numbers_that_differ_convict_nobody_when_there_is_no_time_for_a_second_look(project, live, monkeypatch):
    write_suite(project, WILD)
    monkeypatch.setattr(LiveMeasure, "_time_for", lambda self, names: False)
    ready = live(only="wild|changed")
    for result in decide(ready.base, ready.head, ready.measure).results:
        assert result.reason == "differs, and the budget ended before it was measured again"
        assert result.verdict == "inconclusive"


CACHED = """
class Suite:
    def setup_cache(self):
        note("cache")
        return 7
    def track_fixed(self, cache): return cache
    def track_clock(self, cache): return cache
    track_clock.kind = "timing"
    def time_cached(self, cache): pass
"""


def test_a_cache_is_made_once_a_side_unless_it_holds_what_a_clock_said(project, live):
    write_suite(project, CACHED)
    ready = live(only="fixed|cached")
    ready.measure([benchmark.name for benchmark in ready.head], 2)
    assert [entry["side"] for entry in journal(project)] == [42, 43]


def test_what_a_clock_said_in_a_cache_is_measured_in_every_epoch(project, live):
    write_suite(project, CACHED)
    ready = live(only="clock")
    journal(project)
    ready.measure(["suite.Suite.track_clock"], 3)
    assert len(journal(project)) == 6


def test_a_cache_that_cannot_be_made_fails_all_who_read_it(project, live):
    write_suite(project, CACHED.replace('note("cache")', "assert answers.ANSWER == 42"))
    ready = live()
    measured = ready.measure(["suite.Suite.track_fixed", "suite.Suite.time_cached"], 1)
    for (pair,) in measured.values():
        assert pair.head.error.startswith("setup_cache failed: its process ended with exit code 1: AssertionError")
        assert pair.base.error == ""


def test_out_of_time(project, live):
    write_suite(project, THREE)
    began = time.monotonic()
    ready = live(only="time_a", seconds=10)
    ready.measure.deadline = time.monotonic() + 2
    measured = ready.measure(["suite.Timed.time_a"], 1000)
    assert 0 < len(measured["suite.Timed.time_a"]) < 1000
    assert ready.measure.out_of_time
    ready.measure.deadline = time.monotonic() - 1
    assert ready.measure(["suite.Timed.time_a"], 4) == {"suite.Timed.time_a": []}
    assert time.monotonic() - began < 60


def test_what_one_side_skips_is_missing_or_new(project, live):
    write_suite(
        project,
        """
def on(*sides):
    def setup():
        if answers.ANSWER not in sides:
            raise NotImplementedError("not here")
    return setup
def track_both(): return 1
track_both.setup = on()
def track_base(): return 1
track_base.setup = on(42)
def track_head(): return 1
track_head.setup = on(43)
""",
    )
    ready = live()
    assert [benchmark.name for benchmark in ready.base] == ["suite.track_base"]
    assert [benchmark.name for benchmark in ready.head] == ["suite.track_head"]
    assert len(ready.warnings) == 3
    assert any(
        text.startswith("suite.track_base is skipped on head: ") and "not here" in text for text in ready.warnings
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def track_x(): return 1\ntrack_x.better = 'up'", "declares better = 'up'; it can be lower, higher, neutral"),
        (
            "def track_x(): return 1\ntrack_x.smallest_effect = -1",
            "declares smallest_effect = -1; it is a number from 0",
        ),
        (
            "def track_x(): return 1\ntrack_x.kind = 'seedd'",
            "suite.track_x declares kind = 'seedd'; it can be exact, seeded, timing, memory",
        ),
        ("def track_x(): return 1\ntrack_x.kind = 1", "declares kind = 1; it can be exact"),
        ("def track_x(): return 1\ntrack_x.better = ['higher']", r"declares better = \['higher'\]; it can be lower"),
        ("def track_x(): return 1\ntrack_x.smallest_effect = [1]", r"smallest_effect = \[1\]; it is a number from 0"),
        ("def track_x(): return 1\ntrack_x.smallest_effect = True", "smallest_effect = True; it is a number from 0"),
        ("def track_x(): return 1\ntrack_x.smallest_ratio = 1", "smallest_ratio = 1; it is a number above 1"),
        ("def track_x(): return 1\ntrack_x.infinity_is_best = 1", "infinity_is_best = 1; it is True or False"),
        ("def time_x(): pass\ntime_x.timeout = 'soon'", "time_x declares timeout = 'soon'; it is a number of seconds"),
        ("def time_x(): pass\ntime_x.timeout = -1", "time_x declares timeout = -1; it is a number of seconds"),
        (
            "class S:\n def setup_cache(self): pass\n setup_cache.timeout = [1]\n def time_x(self, cache): pass",
            r"declares setup_cache.timeout = \[1\]; it is a number of seconds",
        ),
        ("x = 1", "has no benchmarks in benchmarks/"),
        (
            "def track_x(): return 1\ndef s(): raise NotImplementedError\ntrack_x.setup = s",
            "every benchmark is skipped",
        ),
    ],
)
def test_what_cannot_be_compared_is_an_error(project, live, text, error):
    write_suite(project, text)
    with pytest.raises(UsageError, match=error):
        live()


def test_numbers_of_any_library_are_numbers(project, live):
    write_suite(
        project,
        """
import numpy as np
from fractions import Fraction
def track_x(): return 1
track_x.better, track_x.smallest_effect = "lower", np.float32(0.5)
track_x.timeout = np.int64(30)
def track_y(): return 1
track_y.better, track_y.smallest_ratio = "lower", Fraction(3, 2)
""",
    )
    x, y = live().head
    assert (x.smallest_effect, x.smallest_ratio) == (0.5, None)
    assert (y.smallest_effect, y.smallest_ratio) == (None, 1.5)
