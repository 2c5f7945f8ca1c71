"""The decision, on pairs whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic_pairs import Synthetic, always, noisy, seeded, timing

from ics_bench.core import UsageError
from ics_bench.gate.decision import decide
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Observation, Pair

MIB = float(1 << 20)


def judge(truth, benchmarks=None, seed=0, budget=math.inf, **options):
    listed = benchmarks or [timing(name) for name in truth]
    measure = Synthetic(truth, seed, budget)
    return decide(listed, listed, measure, **options), measure


def verdicts(decision):
    return {result.name: result.verdict for result in decision.results}


def only(decision):
    (result,) = decision.results
    return result


@pytest.mark.parametrize(
    ("factor", "verdict", "code"), [(1.0, "no change", 0), (1.15, "regression", 1), (1 / 1.15, "improvement", 0)]
)
def test_the_three_answers(factor, verdict, code):
    decision, _ = judge({"a": noisy(factor, cv=0.05), "b": noisy(cv=0.05)})
    assert verdicts(decision) == {"a": verdict, "b": "no change"}
    assert decision.exit_code == code


def test_what_is_not_flagged_and_bounded_is_measured_no_more():
    _, measure = judge({"slow": noisy(1.3, cv=0.02), "same": always(Observation(1.0, 1.0), Observation(1.0, 1.0))})
    (screened, pairs), *later = measure.calls
    assert (set(screened), pairs) == ({"slow", "same"}, 16)
    assert later
    assert all(names == ("slow",) for names, _ in later)


def test_a_large_regression_is_confirmed_at_the_first_look():
    decision, measure = judge({"a": noisy(1.5, cv=0.02)})
    assert measure.calls == [(("a",), 16), (("a",), 16)]
    assert "beyond the margin" in only(decision).reason


def test_a_sure_improvement_is_measured_no_more():
    decision, measure = judge({"a": noisy(0.6, cv=0.02)})
    assert only(decision).verdict == "improvement"
    assert measure.calls == [(("a",), 16), (("a",), 16)]


def test_what_the_screen_could_neither_flag_nor_bound_is_tested_on_fresh_pairs_too():
    class Late(Synthetic):
        def __call__(self, names, pairs):
            self._truth = {"a": noisy(1.0 if not self.calls else 1.5, cv=0.3)}
            return super().__call__(names, pairs)

    assert only(decide([timing("a")], [timing("a")], Late({}, seed=1))).verdict == "regression"


def test_the_screen_alone_never_convicts():
    """Fresh pairs say no change, whatever the screen said."""

    class Turning(Synthetic):
        def __call__(self, names, pairs):
            self._truth = {"a": noisy(1.5 if not self.calls else 1.0, cv=0.03)}
            return super().__call__(names, pairs)

    measure = Turning({})
    decision = decide([timing("a")], [timing("a")], measure)
    assert only(decision).verdict in ("no change", "inconclusive")
    assert len(measure.calls) > 1
    assert abs(only(decision).readings[0].change) < 0.03  # the screen's pairs are not in the numbers shown


def test_growth_up_to_the_margin_is_no_regression_even_when_it_is_sure():
    decision, _ = judge({"a": noisy(1.025, cv=0.001)})
    result = only(decision)
    assert result.verdict == "no change"
    assert result.readings[0].change == pytest.approx(0.025, abs=0.002)


def test_growth_between_margin_and_bound_that_is_sure_is_a_regression():
    assert only(judge({"a": noisy(1.06, cv=0.01)})[0]).verdict == "regression"


def test_a_slowdown_that_only_one_clock_sees_counts():
    sleeping, _ = judge({"a": noisy(1.3, cv=0.03, cpu_factor=1.0)})
    computing, _ = judge({"a": noisy(1.0, cv=0.03, cpu_factor=1.3)})
    assert only(sleeping).readings[0].quantity == "wall time"
    assert only(computing).readings[0].quantity == "processor time"
    assert (only(sleeping).verdict, only(computing).verdict) == ("regression", "regression")


def test_the_quieter_clock_convicts_where_the_other_is_noisy():
    decision, _ = judge({"a": noisy(1.1, cv=0.5, cpu_cv=0.03)})
    assert only(decision).verdict == "regression"
    assert only(decision).readings[0].quantity == "processor time"


def test_no_change_needs_both_clocks():
    decision, measure = judge({"a": noisy(1.0, cv=0.9, cpu_cv=0.02)})
    assert only(decision).verdict == "inconclusive"
    assert decision.exit_code == 3
    assert measure.pairs == 16 + 96  # it went on to the last look


def test_higher_is_better_turns_the_direction_round():
    rate = always(Observation(100.0), Observation(80.0))
    decision, _ = judge({"a": rate}, [Benchmark("a", "timing", "GB/s", "higher")])
    assert only(decision).verdict == "regression"
    assert only(decision).readings[0].change == pytest.approx(-0.2)
    assert only(judge({"a": rate}, [Benchmark("a", "timing", "GB/s", "lower")])[0]).verdict == "improvement"


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (Observation(-0.5), "not judged"),
        (Observation(math.nan), "error"),
        (Observation(math.inf), "error"),
        (Observation(1.0, failed_in_turns="SIGSEGV"), "error"),
        (Observation(math.nan, error="RuntimeError: no"), "error"),
    ],
)
def test_without_a_direction_a_number_needs_no_ratio_and_what_fails_on_head_is_an_error_still(head, verdict):
    result = only(judge({"n": always(Observation(1.0), head)}, [timing("n", better=None, unit="1")])[0])
    assert result.verdict == verdict


@pytest.mark.parametrize("better", [None, "neutral"])
def test_without_a_direction_it_is_reported_and_not_judged(better):
    decision, measure = judge({"a": noisy(2.0, cv=0.02)}, [timing("a", better)])
    assert only(decision).verdict == "not judged"
    assert only(decision).readings[0].change == pytest.approx(1.0, abs=0.05)
    assert measure.pairs == 16
    assert decision.exit_code == 2  # nothing was judged: that is no pass
    if better is None:
        assert only(decision).reason == "unknown direction: reported, not judged"


def test_the_budget_that_ends_is_inconclusive_and_never_a_pass():
    for budget, said in ((0, "not measured"), (3, "not bounded after 3 pairs; the budget ended"), (16, "flagged")):
        decision, _ = judge({"a": noisy(1.08, cv=0.005)}, budget=budget)
        assert only(decision).verdict == "inconclusive"
        assert said in only(decision).reason
        assert decision.exit_code == 3


def test_a_screen_cut_short_is_no_pass_however_clean_its_pairs_are():
    clean = always(Observation(1.0, 1.0), Observation(1.0, 1.0))
    for budget in (8, 15):
        result = only(judge({"a": clean}, budget=budget)[0])
        assert result.verdict == "inconclusive"
        assert result.reason == f"the budget ended after {budget} of the 16 pairs of the screen"
    assert only(judge({"a": clean}, budget=16)[0]).verdict == "no change"


def test_what_no_number_of_pairs_bounds_is_told_from_a_budget_that_ended():
    noise = noisy(cv=2.0)
    assert "after 112 pairs, the most that are taken" in only(judge({"a": noise})[0]).reason
    assert "after 40 pairs; the budget ended" in only(judge({"a": noise}, budget=40)[0]).reason


def test_pairs_up_to_the_end_of_the_budget_are_used():
    decision, _ = judge({"a": noisy(1.5, cv=0.01)}, budget=16 + 20)
    assert only(decision).verdict == "regression"
    decision, _ = judge({"a": noisy(1.1, cv=0.15)}, budget=16 + 40)  # the third look is cut short
    assert only(decision).readings[0].n == 40


def test_many_benchmarks_are_one_family():
    """A p-value that convicts one benchmark alone does not convict it among forty that are flagged too."""
    d = np.r_[np.full(14, 0.2), -0.01, -0.02]  # always the same 16 log-ratios
    pairs = [Pair(Observation(1.0), Observation(math.exp(x))) for x in d]

    def measure(names, number):
        return dict.fromkeys(names, (pairs * 6)[:number])

    def p(size):
        listed = [timing(f"b{place}") for place in range(size)]
        return decide(listed, listed, measure, Rule(looks=(16,))).results[0].readings[0].p

    alone = p(1)
    assert p(40) == pytest.approx(40 * alone)
    assert alone > 0


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        (100 * MIB, 107 * MIB, "regression"),
        (100 * MIB, 104 * MIB, "no change"),
        (4 * MIB, 4.9 * MIB, "no change"),  # 22 %, but less than 1 MiB
        (100 * MIB, 90 * MIB, "improvement"),
    ],
)
def test_memory_has_margins_of_its_own(base, head, verdict):
    decision, _ = judge(
        {"a": always(Observation(base), Observation(head))}, [Benchmark("a", "memory", "bytes", "lower")]
    )
    assert only(decision).verdict == verdict


def test_memory_that_jumps_in_a_few_epochs_is_no_regression():
    calls = []

    def measure(names, pairs):
        calls.append(pairs)
        heads = [100 * MIB * (1.5 if place % 4 == 0 else 1.0) for place in range(pairs)]
        return {"a": [Pair(Observation(100 * MIB), Observation(head)) for head in heads]}

    listed = [Benchmark("a", "memory", "bytes", "lower")]
    assert only(decide(listed, listed, measure)).verdict != "regression"


def test_memory_is_judged_by_its_median():
    """What fewer than half of the epochs do is no regression, however large: signed ranks would take it for one."""
    calls = iter(range(10_000))

    def often(generator):
        return Observation(100 * MIB), Observation((150 if next(calls) % 20 < 9 else 100) * MIB)

    listed = [Benchmark("a", "memory", "bytes", "lower")]
    result = only(judge({"a": often}, listed)[0])
    assert result.verdict != "regression"
    assert result.readings[0].change == 0
    assert only(judge({"a": noisy(1.5, cv=0.02)}, listed, rule=Rule(memory_floor=0))[0]).verdict == "regression"


def test_a_failure_in_turns_is_a_side_s_own_unless_it_met_both():
    passed, failed = Observation(1.0, 1.0), Observation(1.0, 1.0, failed_in_turns="its process killed by SIGSEGV")

    def judged(*kinds):
        calls = iter([(failed if base else passed, failed if head else passed) for base, head in kinds] * 100)
        return only(judge({"a": lambda generator: next(calls)})[0])

    clean = [(False, False)] * 6
    result = judged((False, True), *clean)
    assert result.verdict == "error"
    assert result.reason.startswith("failed on head alone in 3 of 16 epochs, and not when measured again: its process")
    assert "failed on base alone" in judged((True, False), *clean).reason
    assert judged((True, False), (False, True), *clean).verdict == "no change"
    assert judged((True, True), *clean).verdict == "no change"

    slow, late = Observation(1.5, 1.5), Observation(1.5, 1.5, failed_in_turns="a port is taken")
    calls = iter([(replace(passed, failed_in_turns="a port is taken"), late), *[(passed, slow)] * 19, (passed, late)])
    looked_at_again = judge({"a": lambda generator: next(calls, (passed, slow))})[0]
    assert only(looked_at_again).verdict == "regression"  # what met both in the screen may meet one in a later look


def seeds(final, n=16, before=0.5):
    """Trajectories that end in the given values."""
    return [[before, value] for value in np.broadcast_to(final, n)]


def accuracy(effect=0.02):
    return [Benchmark("acc", "seeded", "1", "higher", smallest_effect=effect)]


SPREAD = np.linspace(-0.03, 0.03, 16)


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        (seeds(0.9), seeds(0.9), "no change"),
        (seeds(0.9 + SPREAD), seeds(0.9 + SPREAD - 0.06 + SPREAD[::-1] / 10), "regression"),
        (seeds(0.8 + SPREAD), seeds(0.8 + SPREAD + 0.06 + SPREAD[::-1] / 10), "improvement"),
        (seeds(0.9 + SPREAD), seeds(0.9 + SPREAD + SPREAD[::-1] / 10), "no change"),
        (seeds(0.9 + SPREAD), seeds(0.9 + SPREAD[::-1] * 2), "inconclusive"),
        (seeds(0.9, 15), seeds(0.5, 15), "inconclusive"),
        (seeds(0.9), [*seeds(0.9, 15), [0.5, math.nan]], "regression"),
        (seeds(0.9), [*seeds(0.9, 15), [0.5, math.inf]], "regression"),
        (seeds(math.nan), seeds(math.nan), "error"),
        (seeds(0.9), seeds(0.9, before=0.4), "no change"),  # another way to the same end
    ],
)
def test_convergence_is_compared_exactly_and_then_paired_by_seed(base, head, verdict):
    decision, measure = judge({"acc": seeded(base, head)}, accuracy())
    assert only(decision).verdict == verdict
    assert measure.calls == [(("acc",), 1)]


def test_the_margin_of_a_convergence_metric_is_its_own():
    drop = seeded(seeds(0.9 + SPREAD), seeds(0.9 + SPREAD - 0.06 + SPREAD[::-1] / 10))
    assert only(judge({"acc": drop}, accuracy(0.1))[0]).verdict == "no change"
    result = only(judge({"acc": drop}, accuracy(None))[0])
    assert (result.verdict, "no smallest effect" in result.reason) == ("inconclusive", True)


@pytest.mark.parametrize(
    ("factor", "better", "verdict"),
    [
        (0.5, "higher", "regression"),
        (0.5, "lower", "improvement"),
        (0.95, "higher", "no change"),
        (0.0, "higher", "regression"),
        (0.0, "lower", "improvement"),
        (2.0, "higher", "improvement"),
    ],
)
def test_quantities_over_decades_are_held_against_a_ratio(factor, better, verdict):
    rates = np.logspace(-3, 0, 16)
    listed = [Benchmark("rate", "seeded", "1", better, smallest_ratio=1.15)]
    result = only(judge({"rate": seeded(seeds(rates), seeds(rates * factor))}, listed)[0])
    assert result.verdict == verdict
    assert "a factor of 1.15" in result.reason


def test_a_ratio_of_values_below_zero_is_an_error():
    for kind in ("seeded", "exact"):
        listed = [Benchmark("rate", kind, "1", "lower", smallest_ratio=1.15)]
        result = only(judge({"rate": seeded(seeds(-1.0), seeds(-2.0))}, listed)[0])
        assert (result.verdict, "values below 0" in result.reason) == ("error", True)


@pytest.mark.parametrize("better", [None, "neutral"])
def test_what_is_not_finite_on_head_alone_needs_no_direction(better):
    number = [Benchmark("n", "exact", "1", better)]
    for wrong in (math.nan, math.inf, -math.inf):
        assert only(judge({"n": always(Observation(1.0), Observation(wrong))}, number)[0]).verdict == "regression"
        assert only(judge({"n": always(Observation(wrong), Observation(1.0))}, number)[0]).verdict == "not judged"
    many = [Benchmark("n", "seeded", "1", better)]
    broken = [*seeds(0.9, 15), [0.5, math.nan]]
    assert only(judge({"n": seeded(seeds(0.9), broken)}, many)[0]).verdict == "regression"
    assert only(judge({"n": seeded(broken, seeds(0.9))}, many)[0]).verdict == "not judged"
    assert only(judge({"n": seeded(seeds(0.9), seeds(0.5))}, many)[0]).verdict == "not judged"
    most = seeds([math.nan, *[0.9] * 15]), seeds([0.9, *[math.nan] * 15])
    assert only(judge({"n": seeded(*most)}, many)[0]).verdict == "regression"


@pytest.mark.parametrize("effect", [None, 0.02, 1e9])
@pytest.mark.parametrize(("broken", "verdict"), [(15, "regression"), (1, "other")])
def test_broken_seeds_are_counted_against_mended_ones_whatever_the_smallest_effect(effect, broken, verdict):
    base, head = np.full(16, 0.9), np.full(16, 0.9)
    base[0] = math.nan
    head[1 : 1 + broken] = math.nan
    result = only(judge({"acc": seeded(seeds(base), seeds(head))}, accuracy(effect))[0])
    assert (result.verdict == "regression") == (verdict == "regression")
    if verdict == "regression":
        assert "not finite on head alone on 15 seeds, on base alone on 1" in result.reason


def test_seeds_that_head_lost_are_an_error_and_those_it_has_besides_a_note():
    all_of_them = {seed: [0.9] for seed in range(16)}
    one = always(Observation(0.9, seeds=all_of_them), Observation(0.9, seeds={3: [0.9]}))
    result = only(judge({"acc": one}, accuracy())[0])
    assert result.verdict == "error"
    assert result.reason == "head has no value on seeds 0, 1, 2, 4, 5, 6, 7, 8 and 7 more, and base has"
    more = always(Observation(0.9, seeds=all_of_them), Observation(0.9, seeds={**all_of_them, 16: [0.1]}))
    result = only(judge({"acc": more}, accuracy())[0])
    assert (result.verdict, result.warnings) == ("no change", ("1 seed on head only, left out",))


def test_what_there_was_no_time_to_measure_again_decides_nothing_unless_it_is_not_finite():
    def found(base, head, kind):
        listed = [Benchmark("n", kind, "1", "lower", smallest_effect=0.1)]
        sides = [Observation(float(side[0][-1]), seeds=dict(enumerate(side))) for side in (base, head)]
        return only(decide(listed, listed, lambda names, number: {"n": [Pair(*sides, unsure="the budget ended")]}))

    for kind in ("exact", "seeded"):
        result = found(seeds(0.9), seeds(1.9), kind)
        assert (result.verdict, result.reason) == ("inconclusive", "differs, and the budget ended")
        assert found(seeds(0.9), seeds(0.9), kind).verdict == "no change"
        assert found(seeds(0.9), seeds(math.nan), kind).verdict == "regression"


def test_steps_that_are_never_reached_on_both_sides_are_no_change_and_are_mentioned():
    steps = [Benchmark("steps", "seeded", "steps", "lower", smallest_effect=10)]
    same = seeds([*[40.0] * 12, *[math.inf] * 4])
    result = only(judge({"steps": seeded(same, same)}, steps)[0])
    assert result.verdict == "no change"
    assert result.warnings == ("not finite on 4 seeds",)


def test_divergence_that_moves_between_seeds_is_tested_like_any_difference():
    steps = [Benchmark("steps", "seeded", "steps", "lower", smallest_effect=10)]
    base, head = [40.0] * 16, [41.0] * 16
    base[3] = head[7] = math.inf
    assert only(judge({"steps": seeded(seeds(base), seeds(head))}, steps)[0]).verdict == "no change"
    head[8:] = [math.inf] * 8
    assert only(judge({"steps": seeded(seeds(base), seeds(head))}, steps)[0]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [(3.0, 3.0, "no change"), (3.0, 3.0000001, "regression"), (3.0, 2.9, "improvement"), (3.0, math.nan, "regression")],
)
def test_a_deterministic_number_counts_in_any_difference(base, head, verdict):
    listed = [Benchmark("n", "exact", "1", "lower")]
    assert only(judge({"n": always(Observation(base), Observation(head))}, listed)[0]).verdict == verdict


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_finite_on_neither_side_is_an_error(wrong):
    listed = [Benchmark("n", "exact", "1", "lower")]
    result = only(judge({"n": always(Observation(wrong), Observation(wrong))}, listed)[0])
    assert (result.verdict, "nothing to compare" in result.reason) == ("error", True)


@pytest.mark.parametrize(("better", "best"), [("higher", math.inf), ("lower", -math.inf)])
def test_infinity_is_a_value_where_it_is_declared_the_best(better, best):
    def verdict(base, head, kind, declared):
        listed = [Benchmark("n", kind, "layer", better, smallest_effect=1, infinity_is_best=declared)]
        values = always(Observation(base), Observation(head)) if kind == "exact" else seeded(seeds(base), seeds(head))
        result = only(judge({"n": values}, listed)[0])
        if {base, head} <= {best, 12.0} and declared:
            assert not result.warnings
        return result.verdict

    for kind in ("exact", "seeded"):
        assert verdict(best, best, kind, True) == "no change"
        assert verdict(best, 12.0, kind, True) == "regression"
        assert verdict(12.0, best, kind, True) == "improvement"
        for wrong in (math.nan, -best):
            assert verdict(best, wrong, kind, True) == "regression"
            assert verdict(12.0, wrong, kind, True) == "regression"
        assert verdict(12.0, best, kind, False) == "regression"
    assert verdict(-best, -best, "exact", True) == "error"
    undirected = Benchmark("n", "exact", "layer", None, infinity_is_best=True)
    result = only(judge({"n": always(Observation(best), Observation(best))}, [undirected])[0])
    assert (result.verdict, "no direction" in result.reason) == ("error", True)


def test_a_deterministic_number_within_its_smallest_effect_is_no_change():
    listed = [Benchmark("n", "exact", "1", "lower", smallest_effect=0.5)]
    assert only(judge({"n": always(Observation(3.0), Observation(3.4))}, listed)[0]).verdict == "no change"
    assert only(judge({"n": always(Observation(3.0), Observation(3.6))}, listed)[0]).verdict == "regression"


def test_a_number_said_to_be_exact_that_varies_is_not_judged_by_one_draw():
    varied = [Pair(Observation(1.0), Observation(2.0)), Pair(Observation(1.0), Observation(2.5))]
    listed = [Benchmark("n", "exact", "1", "lower")]
    result = only(decide(listed, listed, lambda names, pairs: {"n": varied}))
    assert (result.verdict, "head gave different values" in result.reason) == ("inconclusive", True)


def test_one_seeded_number_a_side_is_inconclusive_unless_equal():
    listed = [Benchmark("n", "seeded", "1", "lower", smallest_effect=0.1)]
    assert only(judge({"n": always(Observation(1.0), Observation(2.0))}, listed)[0]).verdict == "inconclusive"
    assert only(judge({"n": always(Observation(1.0), Observation(1.0))}, listed)[0]).verdict == "no change"


def test_every_kind_is_decided_in_one_call_of_the_driver():
    listed = [timing("t"), *accuracy(), Benchmark("m", "memory", "bytes", "lower")]
    truth = {
        "t": noisy(1.2, cv=0.03),
        "acc": seeded(seeds(0.9), seeds(0.9)),
        "m": always(Observation(1e9), Observation(1e9)),
    }
    decision, _ = judge(truth, listed, warnings=["dirty tree"])
    assert verdicts(decision) == {"t": "regression", "acc": "no change", "m": "no change"}
    assert decision.results[0].verdict == "regression"  # the gravest first
    assert decision.headline == "1 regression, 2 no change"
    assert decision.warnings == ("dirty tree",)


def test_equal_seeds_give_equal_decisions():
    first, second = (judge({"a": noisy(1.1), "b": noisy()}, seed=4)[0] for _ in range(2))
    assert first == second


def test_nothing_on_either_side_is_refused():
    with pytest.raises(UsageError, match="neither side has a benchmark"):
        decide([], [], Synthetic({}))
