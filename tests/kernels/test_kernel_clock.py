import gc
import random
import subprocess
import sys
import time
import weakref

import pytest

from ics_bench.kernels.clock import MAX_ROUNDS, MIN_ROUNDS, interleave, overhead_seconds
from ics_bench.kernels.machine import Load


def _recorder(log: list, name: str, sets: int) -> list:
    return [lambda turn=turn: log.append((name, turn)) for turn in range(sets)]


def test_every_round_has_every_arm_once_and_each_arm_its_sets_in_turn() -> None:
    log: list = []
    arms = {"a": _recorder(log, "a", 3), "b": _recorder(log, "b", 2)}
    samples = interleave(arms, random.Random(0), budget_seconds=0.0)
    timed = log[-2 * MIN_ROUNDS :]
    assert [len(values) for values in samples.seconds.values()] == [MIN_ROUNDS, MIN_ROUNDS]
    for number in range(MIN_ROUNDS):
        pair = timed[2 * number : 2 * number + 2]
        assert sorted(pair) == [("a", number % 3), ("b", number % 2)]
    first = [timed[2 * number][0] for number in range(MIN_ROUNDS)]
    assert set(first) == {"a", "b"}  # neither arm always follows the other
    assert {("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)} <= set(log[: -2 * MIN_ROUNDS])  # warmed up


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_arms_are_warmed_up_once_and_for_as_long_as_asked(seconds: float) -> None:
    log: list = []
    interleave({"a": _recorder(log, "a", 1)}, random.Random(0), budget_seconds=0.0, warm_up_seconds=seconds)
    before = len(log) - MIN_ROUNDS
    assert before == 1 if seconds == 0 else before > 100


def test_rounds_stop_at_the_most_and_the_shorter_arm_is_the_faster() -> None:
    def work(n: int):
        return lambda: sum(range(n))

    samples = interleave({"short": [work(100)], "long": [work(20_000)]}, random.Random(0), budget_seconds=60.0)
    assert len(samples.seconds["short"]) == MAX_ROUNDS
    assert sorted(samples.seconds["short"])[MAX_ROUNDS // 2] < sorted(samples.seconds["long"])[MAX_ROUNDS // 2]


class Result:
    pass


def test_a_result_lives_until_its_set_comes_round_again() -> None:
    returned: list[weakref.ref] = []
    alive: list[int] = []

    def call() -> Result:
        alive.append(sum(reference() is not None for reference in returned[-4:]))
        result = Result()
        returned.append(weakref.ref(result))
        return result

    interleave({"kernel": [call] * 4}, random.Random(0), budget_seconds=0.0)
    assert set(alive[4:]) == {4}
    assert sum(reference() is not None for reference in returned) == 0  # and no longer than the timing


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was_even_after_an_error(enabled: bool) -> None:
    calls = 0

    def fail_when_timed() -> None:
        nonlocal calls
        calls += 1
        if not gc.isenabled() and enabled:
            raise RuntimeError("planted")

    (gc.enable if enabled else gc.disable)()
    try:
        if enabled:
            with pytest.raises(RuntimeError, match="planted"):
                interleave({"a": [fail_when_timed]}, random.Random(0))
        else:
            interleave({"a": [fail_when_timed]}, random.Random(0), budget_seconds=0.0)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_the_suites_own_share_is_small_beside_a_kernel() -> None:
    import torch

    x, y = torch.ones(2**18), torch.ones(2**18)
    samples = interleave({"copy": [lambda: y.copy_(x)]}, random.Random(0), budget_seconds=0.0)
    assert 0 < overhead_seconds() < 0.05 * sorted(samples.seconds["copy"])[MIN_ROUNDS // 2]


def test_another_busy_process_is_noticed() -> None:
    other = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        with Load() as load:
            end = time.perf_counter() + 0.5
            while time.perf_counter() < end:
                pass
    finally:
        other.kill()
        other.wait()
    assert any("others used" in warning for warning in load.warnings())


def test_time_without_processor_is_noticed() -> None:
    with Load() as load:
        time.sleep(0.2)
    assert any("of processor time" in warning for warning in load.warnings())
    assert load.own_seconds < load.wall_seconds
