"""Printed numbers and printed learning rates against what was measured."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_evidence import GRID, SEEDS, ceilings, claim

from ics_bench.claims import judge
from ics_bench.core import Case, Measurement

NUMBER = """
[claim.parameters]
metric = "std"
relative_tolerance = 0.005
[[claim.settings]]
name = "only"
parameters = {{ printed = {printed} }}
"""
RATE = """
[claim.parameters]
printed = {printed}
resamples = {resamples}
[[claim.settings]]
name = "only"
case = {{ norm = "none" }}
"""
CASE = {"norm": "none"}


def number(printed, measured):
    rule = claim(NUMBER.format(printed=printed), rule="printed_number", seeds=1, least_seeds=1)
    return judge(rule, [Measurement("w", Case.of(), None, "std", measured, "1")], "standard")


@pytest.mark.parametrize(
    ("printed", "measured", "verdict", "effect"),
    [
        ("0.8234", 0.8234, "supported", 0.0),
        ("0.8234", 0.8250, "supported", 0.0008),
        ("0.8234", 0.7934, "refuted", -0.0161),
        ("1.23e-89", 5.56e-48, "refuted", 41.655),
        ("1.23e-89", 0.0, "refuted", -math.inf),
        ("inf", math.inf, "supported", 0.0),
        ("inf", 4.16e52, "refuted", -math.inf),
        ("inf", math.nan, "refuted", math.nan),
        ("0.0", 0.0, "supported", 0.0),
    ],
)
def test_printed_number(printed, measured, verdict, effect):
    judgement = number(printed, measured)
    assert judgement.verdict == verdict
    assert judgement.effect == pytest.approx(effect, abs=1e-3, nan_ok=True)
    assert judgement.n == 1


def test_a_number_measured_by_seed_is_not_the_printed_run():
    rule = claim(NUMBER.format(printed=1.0), rule="printed_number")
    judgement = judge(rule, [Measurement("w", Case.of(), 0, "std", 1.0, "1")], "standard")
    assert judgement.verdict == "inconclusive"


def rate(printed, evidence, least_seeds=5, resamples=9999):
    rule = claim(
        RATE.format(printed=printed, resamples=resamples),
        rule="printed_ceiling",
        least_seeds=least_seeds,
    )
    return judge(rule, evidence, "standard")


def up_to(top):
    return lambda rate, seed: rate <= top * 1.001


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [(0.01, "refuted"), (0.03, "refuted"), (0.1, "supported"), (0.3, "supported"), (0.4, "refuted"), (1.0, "refuted")],
)
def test_unanimous_seeds_against_printed_rates(printed, verdict):
    # The ceiling lies between 0.1 and 0.115: more than half a decade above 0.03, less than that below 0.3.
    judgement = rate(printed, ceilings(CASE, up_to(0.1), rates=(0.0316, 0.1, 0.115, 0.133, 0.178, 0.316, 1.0, 3.16)))
    assert judgement.verdict == verdict
    assert judgement.effect == pytest.approx(math.log10(0.1 / printed))
    assert judgement.interval == pytest.approx((judgement.effect, math.log10(0.115 / printed)))
    assert judgement.p == 2.0**-11


def test_one_grid_step_off_counts_as_printed():
    assert rate(0.1, ceilings(CASE, up_to(10**-1.5))).verdict == "supported"
    assert rate(0.1, ceilings(CASE, up_to(10**-1.9))).verdict == "refuted"


def test_censored_ceiling_is_a_bound():
    judgement = rate(0.1, ceilings(CASE, up_to(10)))
    assert judgement.verdict == "refuted"
    assert judgement.interval == (pytest.approx(2.0), math.inf)
    assert any("censored" in text for text in judgement.warnings)
    near = rate(10.0, ceilings(CASE, up_to(10)))
    assert near.verdict == "inconclusive"  # at least 10 may be 10 or 1000


def test_no_rate_succeeds():
    judgement = rate(0.001, ceilings(CASE, up_to(0)))
    assert judgement.verdict == "refuted"
    assert judgement.effect == pytest.approx(-2.5)
    assert any("no tested rate succeeds" in text for text in judgement.warnings)


def test_on_edge_between_far_above_and_nothing_is_refuted_where_the_band_was_tested():
    # Six of eleven seeds train at 0.03 and none elsewhere: the ceiling is on edge, but it is not near 0.001.
    def knife(r, seed):
        return seed < 6 and 0.03 < r < 0.04

    judgement = rate(0.001, ceilings(CASE, knife))
    assert judgement.interval.low < 0 < judgement.interval.high
    assert judgement.verdict == "refuted"
    assert any("% of the resamples" in text for text in judgement.warnings)
    from_the_top = ceilings(CASE, knife, rates=tuple(r for r in GRID if r > 0.009))
    assert rate(0.001, from_the_top).verdict == "inconclusive"


def test_seeds_that_disagree_leave_it_open():
    judgement = rate(0.1, ceilings(CASE, lambda r, seed: r <= (1.1 if seed < 6 else 0.11)))
    assert judgement.verdict == "inconclusive"
    assert judgement.settings["only"].p > 0.05
    assert judgement.interval.low == pytest.approx(0.0)
    assert judgement.interval.high == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("lowest", "verdict"),
    [(-5, "refuted"), (-3.5, "refuted"), (-3, "inconclusive"), (-2.5, "inconclusive"), (-2, "inconclusive")],
)
def test_a_band_is_found_empty_only_where_it_was_tested(lowest, verdict):
    evidence = ceilings(CASE, up_to(0), rates=tuple(r for r in GRID if r > 0.99 * 10**lowest))
    assert rate(0.001, evidence).verdict == verdict


def test_success_need_not_be_monotone():
    judgement = rate(0.1, ceilings(CASE, lambda r, seed: r <= 0.011 or 0.9 < r < 1.1))
    assert judgement.effect == pytest.approx(1.0)  # the highest run of successes, though a gap lies below


def test_a_diverged_seed_is_a_failure_not_a_gap():
    evidence = ceilings(CASE, up_to(0.1))
    spoilt = [
        Measurement(m.workload, m.case, m.seed, m.metric, math.nan, m.unit, type(m.curve)(GRID, (math.nan,) * 13, "x"))
        if m.seed in range(6)
        else m
        for m in evidence
    ]
    judgement = rate(0.1, spoilt)
    assert judgement.verdict == "inconclusive"
    assert any("outcomes by seed give 0" in text for text in judgement.warnings)
    reported = [m if m.seed is not None else Measurement("w", m.case, None, m.metric, 0.0, "1") for m in spoilt]
    assert rate(0.1, reported).n == 11


def test_disagreeing_search_is_refused():
    judgement = rate(0.1, ceilings(CASE, up_to(0.1), reported=1.0))
    assert any("outcomes by seed give 0.1" in text for text in judgement.warnings)


def test_seeds_tested_at_different_rates_are_refused():
    mixed = (
        ceilings(CASE, up_to(0.1), seeds=range(5)) + ceilings(CASE, up_to(0.1), seeds=range(5, 11), rates=GRID[1:])[1:]
    )
    assert any("different rates" in text for text in rate(0.1, mixed).warnings)


@pytest.mark.parametrize(("seeds", "verdict"), [(4, "inconclusive"), (5, "supported"), (11, "supported")])
def test_seeds_needed(seeds, verdict):
    judgement = rate(0.1, ceilings(CASE, up_to(0.1), seeds=range(seeds)))
    assert judgement.verdict == verdict
    if verdict == "supported":
        assert judgement.p == 2.0**-seeds


def test_an_even_split_is_no_majority():
    judgement = rate(0.1, ceilings(CASE, lambda r, seed: r <= (1.1 if seed < 5 else 0.11), seeds=range(10)))
    assert judgement.effect == pytest.approx(0.0)


@settings(max_examples=15)
@given(st.lists(st.sampled_from(GRID[2:-1]), min_size=11, max_size=11))
def test_interval_holds_the_ceiling_and_unit_of_rate_does_not_matter(tops):
    judgement = rate(0.1, ceilings(CASE, lambda r, seed: r <= tops[seed] * 1.001))
    assert judgement.interval.low <= judgement.effect <= judgement.interval.high
    assert judgement.effect == pytest.approx(math.log10(sorted(tops)[5] / 0.1))


@pytest.mark.parametrize(
    ("ceiling", "wrong"),
    [(-1.5, "refuted"), (-0.5, "refuted"), (-1.5 - 1 / 16, "supported"), (-0.5 + 1 / 16, "supported")],
)
def test_wrong_verdicts_are_rare_where_the_truth_is_next_to_the_margin(ceiling, wrong):
    # Each seed has a ceiling of its own; their median is the last rate inside or the first one outside the band.
    generator = np.random.default_rng(7)
    fine = tuple(10.0 ** (step / 16) for step in range(-48, 17))
    found = []
    for _ in range(150):
        tops = 10 ** generator.normal(ceiling, 0.4, 11)
        evidence = ceilings(CASE, lambda r, seed, tops=tops: r <= tops[seed], rates=fine)
        found.append(rate(0.1, evidence, resamples=99).verdict)
    assert found.count(wrong) <= 16  # at most 5 % in truth: 17 of 150 has probability 1e-3


@pytest.mark.parametrize(("ceiling", "right"), [(-1.0, "supported"), (0.5, "refuted"), (-2.5, "refuted")])
def test_right_verdicts_are_common_where_the_truth_is_clear(ceiling, right):
    generator = np.random.default_rng(8)
    fine = tuple(10.0 ** (step / 16) for step in range(-56, 17))
    found = []
    for _ in range(40):
        tops = 10 ** generator.normal(ceiling, 0.2, 11)
        evidence = ceilings(CASE, lambda r, seed, tops=tops: r <= tops[seed], rates=fine)
        found.append(rate(0.1, evidence, resamples=99).verdict)
    assert found.count(right) >= 38


def test_stable_and_trainable_ceilings_are_told_apart():
    body = RATE.format(printed=0.1, resamples=99) + 'parameters = { question = "stable" }\n'
    rule = claim(body, rule="printed_ceiling", family="training")
    evidence = ceilings(CASE, up_to(0.1)) + ceilings(CASE, up_to(1.0), question="stable")
    assert judge(rule, evidence, "standard").effect == pytest.approx(1.0)
    assert len(SEEDS) == judge(rule, evidence, "standard").n
