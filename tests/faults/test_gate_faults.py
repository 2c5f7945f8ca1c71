"""What must not become a silent pass of the gate: each fault ends in an error or a verdict that says so."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from synthetic_pairs import Synthetic, always, noisy, seeded, timing

from ics_bench.core import UsageError
from ics_bench.gate.decision import decide
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Observation, Pair

FINE = noisy(cv=0.02)
FAILED = Observation(math.nan, error="ValueError: no such layer")


def found(observe, benchmark=None, **others):
    """The result for a faulty benchmark beside one that is well, and the exit code of both."""
    listed = [benchmark or timing("faulty"), timing("well")]
    decision = decide(listed, listed, Synthetic({"faulty": observe, "well": FINE}), **others)
    by_name = {result.name: result for result in decision.results}
    assert by_name["well"].verdict == "no change"
    return by_name["faulty"], decision.exit_code


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 0.0, -1e-3])
@pytest.mark.parametrize("side", ["base", "head"])
def test_times_that_are_none(wrong, side):
    right = Observation(1e-3, 1e-3)
    sides = (Observation(wrong, 1e-3), right) if side == "base" else (right, Observation(wrong, 1e-3))
    result, code = found(always(*sides))
    assert (result.verdict, code) == ("error", 2)
    assert result.reason.startswith(f"{side} gave {wrong:g} s in 16 of 16 epochs")


@pytest.mark.parametrize(
    ("base", "head", "where"),
    [(FAILED, Observation(1.0), "base"), (Observation(1.0), FAILED, "head"), (FAILED, FAILED, "both sides")],
)
@pytest.mark.parametrize("kind", ["timing", "memory", "seeded", "exact"])
def test_raises(base, head, where, kind):
    result, code = found(always(base, head), Benchmark("faulty", kind, "1", "lower"))
    assert (result.verdict, code) == ("error", 2)
    assert f"failed on {where}" in result.reason
    assert "ValueError: no such layer" in result.reason


def test_raises_once_in_a_while():
    calls = iter(range(10_000))

    def flaky(generator):
        return Observation(1.0, 1.0), FAILED if next(calls) == 7 else Observation(1.0, 1.0)

    result, code = found(flaky)
    assert (result.verdict, code) == ("error", 2)
    assert "failed on head in 1 of 16 epochs" in result.reason


def test_raises_while_it_is_confirmed():
    calls = iter(range(10_000))

    def late(generator):
        return Observation(1.0, 1.0), FAILED if next(calls) > 20 else Observation(2.0, 2.0)

    assert found(late)[0].verdict == "error"


def test_missing_and_new():
    decision = decide([timing("gone"), timing("kept")], [timing("kept"), timing("fresh")], Synthetic({"kept": FINE}))
    assert {result.name: result.verdict for result in decision.results} == {
        "gone": "missing",
        "fresh": "new",
        "kept": "no change",
    }
    assert decision.exit_code == 2
    assert decide([timing("kept")], [timing("kept"), timing("fresh")], Synthetic({"kept": FINE})).exit_code == 0


def test_everything_new_is_no_pass():
    assert decide([], [timing("fresh")], Synthetic({})).exit_code == 2


def test_a_name_listed_twice():
    for sides in (([timing("a")] * 2, [timing("a")]), ([timing("a")], [timing("a")] * 2)):
        with pytest.raises(UsageError, match="lists benchmark 'a' twice"):
            decide(*sides, Synthetic({"a": FINE}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "ms"}, "unit 's' on base, 'ms' on head"),
        ({"better": "higher"}, "better 'lower' on base, 'higher' on head"),
        ({"better": None}, "better 'lower' on base, None on head"),
        ({"version": "2"}, "version '' on base, '2' on head"),
        ({"kind": "memory"}, "kind 'timing' on base, 'memory' on head"),
        ({"smallest_effect": 0.1}, "smallest effect None on base, 0.1 on head"),
        ({"smallest_ratio": 1.1}, "smallest ratio None on base, 1.1 on head"),
    ],
)
def test_a_declaration_that_changed(change, said):
    decision = decide([timing("a")], [replace(timing("a"), **change)], Synthetic({"a": noisy(3.0)}))
    (result,) = decision.results
    assert (result.verdict, decision.exit_code) == ("incomparable", 2)
    assert said in result.reason


@pytest.mark.parametrize("effect", [math.nan, -1.0, math.inf])
def test_a_smallest_effect_that_is_none(effect):
    listed = Benchmark("faulty", "seeded", "1", "lower", smallest_effect=effect)
    result, code = found(seeded([[1.0]] * 16, [[1.0]] * 16), listed)
    assert (result.verdict, code) == ("error", 2)


@pytest.mark.parametrize(
    "change",
    [
        {"margin": math.nan}, {"margin": -0.01}, {"margin": math.inf}, {"bound": math.nan},
        {"bound": -1.0}, {"bound": 0.03}, {"family_error": 0.0}, {"family_error": 1.0}, {"family_error": math.nan},
        {"bound_error": -0.1}, {"screen_level": math.nan}, {"screen_pairs": 0}, {"screen_pairs": True},
        {"looks": ()}, {"looks": (16, 16)}, {"looks": (0, 16)}, {"looks": (32, 16)}, {"looks": (16.5,)},
        {"memory_margin": math.nan}, {"memory_floor": -1.0}, {"confirm_power": 0.0}, {"bound_power": math.inf},
        {"least_seeds": 0},
    ],
    ids=str,
)  # fmt: skip
def test_thresholds_that_are_none(change):
    (name,) = change
    with pytest.raises(UsageError, match=f"^{name}="):
        Rule(**change)


@pytest.mark.parametrize(("head", "verdict"), [(1.0, "no change"), (1.2, "regression"), (0.8, "improvement")])
def test_zero_variance(head, verdict):
    assert found(always(Observation(1.0, 1.0), Observation(head, head)))[0].verdict == verdict


def test_a_clock_that_stands_still_leaves_the_other_to_judge():
    result, _ = found(always(Observation(1.0, 0.0), Observation(1.2, 0.0)))
    assert (result.verdict, len(result.readings)) == ("regression", 1)
    assert result.warnings == ("processor time stood still in an epoch: judged by wall time alone",)


def test_a_clock_that_stops_on_the_way():
    calls = iter(range(10_000))

    def stopping(generator):
        cpu = 1.0 if next(calls) < 20 else 0.0
        return Observation(1.0, cpu), Observation(1.2, 1.2 * cpu)

    assert found(stopping)[0].verdict == "regression"


def test_too_few_pairs_are_inconclusive():
    for budget in range(1, 6):
        decision = decide([timing("a")], [timing("a")], Synthetic({"a": noisy(2.0, cv=0.01)}, budget=budget))
        assert (decision.results[0].verdict, decision.exit_code) == ("inconclusive", 3)


def test_a_measurement_that_returns_nothing_at_all():
    decision = decide([timing("a")], [timing("a")], lambda names, pairs: {})
    assert (decision.results[0].verdict, decision.exit_code) == ("inconclusive", 3)


def test_unequal_seeds():
    listed = Benchmark("faulty", "seeded", "1", "lower", smallest_effect=0.1)
    base, head = {s: [1.0] for s in range(16)}, {s: [1.0 + s * (s > 15)] for s in range(24)}
    result, _ = found(always(Observation(1.0, seeds=base), Observation(1.0, seeds=head)), listed)
    assert (result.verdict, result.warnings) == ("no change", ("8 seeds on head only, left out",))
    for other in ({99: [1.0]}, {0: []}, {seed: [1.0] for seed in range(1, 16)}, {**base, 3: []}, None):
        result, code = found(always(Observation(1.0, seeds=base), Observation(1.0, seeds=other)), listed)
        assert (result.verdict, code) == ("error", 2)


@pytest.mark.parametrize("ratio", [math.nan, 1.0, 0.5, math.inf])
def test_a_smallest_ratio_that_is_none(ratio):
    listed = Benchmark("faulty", "seeded", "1", "lower", smallest_ratio=ratio)
    result, code = found(seeded([[1.0]] * 16, [[1.0]] * 16), listed)
    assert (result.verdict, code) == ("error", 2)
    both = Benchmark("faulty", "seeded", "1", "lower", smallest_effect=0.1, smallest_ratio=1.1)
    assert found(seeded([[1.0]] * 16, [[1.0]] * 16), both)[0].verdict == "error"


def test_divergence_on_head_alone_is_a_regression_even_on_one_seed():
    listed = Benchmark("faulty", "seeded", "1", "lower", smallest_effect=0.1)
    result, code = found(seeded([[1.0]] * 16, [*[[1.0]] * 15, [math.nan]]), listed)
    assert (result.verdict, code) == ("regression", 1)
    assert "not finite on head alone, on 1 of 16 seeds" in result.reason


def test_a_regression_outweighs_an_error_and_an_error_what_is_inconclusive():
    truth = {"slow": noisy(1.5, cv=0.02), "broken": always(Observation(1.0), FAILED), "open": noisy(cv=2.0)}
    listed = [timing(name) for name in truth]
    assert decide(listed, listed, Synthetic(truth)).exit_code == 1
    assert decide(listed[1:], listed[1:], Synthetic(truth)).exit_code == 2
    assert decide(listed[2:], listed[2:], Synthetic(truth)).exit_code == 3


def test_an_unknown_kind_or_direction():
    for listed in (Benchmark("faulty", "speed", "s", "lower"), Benchmark("faulty", "timing", "s", "up")):
        result, code = found(FINE, listed)
        assert (result.verdict, code) == ("error", 2)


def test_pairs_may_be_of_any_sequence():
    pairs = tuple(Pair(Observation(1.0), Observation(1.0)) for _ in range(96))
    decision = decide([timing("a")], [timing("a")], lambda names, number: {"a": pairs[:number]})
    assert decision.exit_code == 0
