"""Correlations over settings: against dealt settings, within groups, over bounds, and against rivals."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import MissingEvidenceError
from ics_bench.claims.rules import RULES
from ics_bench.claims.rules.settings_table import deals, place_open
from ics_bench.core import Case, Measurement
from ics_bench.stats import spearman

SEEDS = 8
CORRELATION = {"x_metric": "x", "y_metric": "y", "direction": "positive"}
CONTEST = {**CORRELATION, "rival_metric": "rival", "rival_direction": "positive"}


def find(rule, parameters, norms=None, **tables):
    """Judge tables of shape (settings, seeds) by role; ``y_bound`` holds upper ends."""
    evidence, arms = [], {}
    for role, table in tables.items():
        for place, row in enumerate(table):
            case = Case.of({"arm": f"s{place}", "norm": norms[place] if norms else "n"})
            evidence += [Measurement("w", case, seed, role, float(v), "1") for seed, v in enumerate(row)]
            if role != "y_bound":
                arms[f"s{place}.{role}"] = Arm("w", case)
    defaults = CONTEST if rule == "rank_contest" else CORRELATION
    return RULES[rule](**{**defaults, **parameters}).find(Evidence(evidence), arms, 2)


def noisy(levels, rng, scale=0.05):
    return np.asarray(levels, dtype=float)[:, None] + scale * rng.standard_normal((len(levels), SEEDS))


RNG = np.random.default_rng(0)
TWELVE = np.arange(12.0)


def test_an_order_that_all_seeds_share_by_chance_is_no_correlation():
    """Without the deal, seeds that share one random order of the settings call it a correlation half of the time."""
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(200):
        x, y = noisy(rng.permutation(12), rng), noisy(rng.permutation(12), rng)
        verdicts.append(find("rank_correlation", {"permutations": 499}, x=x, y=y).verdict)
    assert verdicts.count("supported") <= 20  # 5 % in truth: 21 of 200 has probability 1e-3
    assert verdicts.count("inconclusive") >= 60


def test_a_correlation_that_the_groups_alone_produce_is_not_one_within_them():
    norms = ["none"] * 4 + ["layer"] * 4 + ["batch"] * 4
    levels = np.repeat([0.0, 10.0, 20.0], 4)
    x = noisy(levels + np.tile([0, 1, 2, 3], 3), RNG)
    y = noisy(levels + np.tile([1, 3, 0, 2], 3), RNG)  # within a group: rho = 0
    assert find("rank_correlation", {"smallest": 0.5}, norms, x=x, y=y).verdict == "supported"
    within = find("rank_correlation", {"smallest": 0.5, "within": "norm"}, norms, x=x, y=y)
    assert (within.verdict, within.effect) == ("refuted", pytest.approx(0.0))
    alike = find("rank_correlation", {"within": "norm"}, norms, x=x, y=-levels[:, None] + x)
    assert (alike.verdict, alike.effect) == ("supported", pytest.approx(1.0))
    assert "within norm" in alike.target


def test_settings_without_the_key_or_with_nothing_to_compare_are_refused():
    x = noisy(TWELVE, RNG)
    with pytest.raises(MissingEvidenceError, match="a norm of its own"):
        find("rank_correlation", {"within": "norm"}, [f"n{i}" for i in range(12)], x=x, y=x)
    with pytest.raises(MissingEvidenceError, match="no case key 'depth'"):
        find("rank_correlation", {"within": "depth"}, x=x, y=x)


def test_bounds_leave_a_range_by_which_neither_verdict_is_reached():
    x = noisy(TWELVE, RNG)
    y = np.where(TWELVE[:, None] > 3, 10.0, 0.1 * (1 + x))  # all but four at the top of the grid
    numbers = find("rank_correlation", {"smallest": 0.5}, x=x, y=y)
    assert numbers.verdict == "supported"
    bound = np.where(y == 10.0, math.inf, 1.1 * y)
    ranged = find("rank_correlation", {"smallest": 0.5, "y_bound": "y_bound"}, x=x, y=y, y_bound=bound)
    assert ranged.verdict == "inconclusive"
    assert ranged.interval.low < 0.5 < ranged.interval.high
    assert any("64 of 96 values of y are bounds" in text for text in ranged.warnings)


def test_a_few_bounds_do_not_hide_a_clear_order():
    x = noisy(TWELVE, RNG)
    y = np.where(TWELVE[:, None] > 9, 10.0, 0.1 * (1 + x))
    bound = np.where(y == 10.0, math.inf, 1.1 * y)
    finding = find("rank_correlation", {"smallest": 0.5, "y_bound": "y_bound"}, x=x, y=y, y_bound=bound)
    assert finding.verdict == "supported"


@examples(max_examples=40)
@given(st.permutations(range(6)), st.lists(st.sampled_from([0, 1, 2, 9]), min_size=6, max_size=6))
def test_open_values_are_placed_at_the_extremes_of_all_their_orders(x, y):
    """Against every order of the values at the top, which are bounds."""
    x, y = np.array(x, dtype=float), np.array(y, dtype=float)
    top = np.flatnonzero(y == 9)
    every = []
    for order in itertools.permutations(range(len(top))):
        told = y.copy()
        told[top] += np.array(order, dtype=float)
        every.append(spearman(x, told))
    groups, open_ended = np.zeros(6, dtype=int), (y == 9)[:, None]
    for sign, extreme in ((1, max), (-1, min)):
        ranks = place_open(y[:, None], open_ended, sign * x[:, None], groups)[:, 0]
        assert spearman(x, ranks) == pytest.approx(extreme(every), nan_ok=True)


def test_dealt_anew_for_every_seed_the_closest_correlation_is_absent():
    norms = ["none"] * 6 + ["batch"] * 6
    x = noisy(TWELVE, RNG)
    assert find("rank_correlation", {"smallest": 0.5}, x=x, y=x).verdict == "supported"
    control = {"smallest": 0.5, "claimed": "absent", "dealt": True}
    for within in ("", "norm"):
        assert find("rank_correlation", {**control, "within": within}, norms, x=x, y=x).verdict == "supported"
    assert find("rank_correlation", {**control, "dealt": False}, x=x, y=x).verdict == "refuted"


def test_a_contest_is_won_by_the_closer_correlation():
    y = noisy(TWELVE, RNG)
    rough = noisy(TWELVE[[1, 0, 5, 2, 7, 3, 4, 6, 11, 8, 10, 9]], RNG)
    won = find("rank_contest", {}, x=y, rival=rough, y=y)
    assert won.verdict == "supported"
    assert won.effect == pytest.approx(1 - np.mean([spearman(rough[:, s], y[:, s]) for s in range(SEEDS)]))
    assert find("rank_contest", {}, x=rough, rival=y, y=y).verdict == "refuted"
    assert find("rank_contest", {"smallest": 0.9}, x=y, rival=rough, y=y).verdict == "refuted"
    tie = find("rank_contest", {}, x=rough, rival=rough, y=y)
    assert (tie.verdict, tie.effect) == ("inconclusive", 0.0)
    assert find("rank_contest", {"smallest": 0.1}, x=rough, rival=rough, y=y).verdict == "refuted"


def test_a_candidate_counts_in_its_own_direction():
    y = noisy(TWELVE, RNG)
    finding = find("rank_contest", {"direction": "negative", "rival_direction": "negative"}, x=-y, rival=y, y=y)
    assert (finding.verdict, finding.effect) == ("supported", pytest.approx(2.0))
    mixed = find("rank_contest", {"direction": "negative", "smallest": 0.1}, x=-y, rival=y, y=y)
    assert (mixed.verdict, mixed.effect) == ("refuted", pytest.approx(0.0))


def test_a_contest_over_bounds_is_undecided():
    x = noisy(TWELVE, RNG)
    y = np.full_like(x, 10.0)
    bound = np.full_like(y, math.inf)
    finding = find("rank_contest", {"y_bound": "y_bound"}, x=x, rival=-x, y=y, y_bound=bound)
    assert finding.verdict == "inconclusive"


def test_a_placebo_that_goes_with_the_outcome_as_closely_is_not_beaten():
    y = noisy(TWELVE, RNG)
    x, placebo = (noisy(TWELVE, RNG, scale=1.5) for _ in range(2))
    finding = find("rank_contest", {"smallest": 0.2}, x=x, rival=placebo, y=y)
    assert finding.verdict == "refuted"
    assert any("mean correlations, as claimed" in text for text in finding.warnings)


@pytest.mark.parametrize(
    ("rule", "names", "message"),
    [
        ("rank_contest", ("a.x", "a.y", "a.rival", "b.x", "b.y"), "without a partner: b.x, b.y"),
        ("rank_contest", ("a.x", "a.y", "a.rival"), "at least 4 settings, got 1"),
        ("rank_correlation", ("a.x", "a.y", "a.rival"), "without a partner: a.rival"),
    ],
)
def test_arms_of_a_contest_come_in_threes(rule, names, message):
    with pytest.raises(ValueError, match=message):
        RULES[rule].check_arms(names)


CEILING = {"question": "stable", "smallest_effect": 0.25}


def ceilings(subject, baseline, **parameters):
    evidence, arms = [], {}
    for role, rows in (("subject", subject), ("baseline", baseline)):
        case = Case.of(arm=role)
        arms[role] = Arm("w", case)
        for seed, (low, high) in enumerate(rows):
            evidence.append(Measurement("w", case, seed, "own_stable_ceiling", low, "1"))
            evidence.append(Measurement("w", case, seed, "own_stable_bound", high, "1"))
    return RULES["paired_ceiling"](**{**CEILING, **parameters}).find(Evidence(evidence), arms, 2)


@pytest.mark.parametrize(
    ("subject", "baseline", "verdict", "effect"),
    [
        ((1.0, 1.2), (0.1, 0.12), "supported", 1.0),
        ((0.1, 0.12), (1.0, 1.2), "refuted", -1.0),
        ((0.12, 0.13), (0.1, 0.12), "refuted", math.log10(1.2)),  # higher, by too little to matter
        ((10.0, math.inf), (1.0, 1.2), "supported", math.nan),  # at least tenfold
        ((10.0, math.inf), (10.0, math.inf), "inconclusive", math.nan),  # both beyond the grid
        ((10.0, math.inf), (8.0, 8.7), "inconclusive", math.nan),  # at least 1.25, and perhaps any number
        ((1.0, 1.2), (10.0, math.inf), "refuted", math.nan),
        ((1.0, 1.2), (0.0, 1e-5), "supported", math.nan),  # the baseline trains at no rate of the grid
        ((0.0, 1e-5), (0.0, 1e-5), "inconclusive", math.nan),
        ((0.0, 1e-5), (1.0, 1.2), "refuted", math.nan),
    ],
)
def test_paired_ceilings_are_brackets_and_open_ones_bounds(subject, baseline, verdict, effect):
    finding = ceilings([subject] * 9, [baseline] * 9)
    assert finding.verdict == verdict
    assert finding.effect == pytest.approx(effect, nan_ok=True)
    assert finding.interval.low <= finding.interval.high


def test_some_seeds_at_the_top_leave_the_rest_to_decide():
    finding = ceilings([(10.0, math.inf)] + [(1.0, 1.2)] * 10, [(10.0, math.inf)] + [(0.1, 0.12)] * 10)
    assert finding.verdict == "supported"
    assert any("1 of 11 seeds undecided" in text for text in finding.warnings)


def test_deals_keep_to_their_groups_and_are_not_all_alike():
    groups = np.array([0, 1, 0, 1, 1, 2])
    drawn = deals(groups, 50)
    assert (groups[drawn] == groups).all()
    assert len({tuple(row) for row in drawn}) > 5
    assert (np.sort(drawn, axis=1) == np.arange(6)).all()
