"""The search finds what training every rate to the end would find, and trains less."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.training import Replica, Trajectory
from ics_bench.training.ceilings import GRID, CeilingSearch, best_rate, majority, outcome

STEPS, EVERY = 60, 10

# A replica's fate: the check at which it reaches the target, and the step at which it diverges.
fates = st.tuples(st.sampled_from([10, 20, 40, math.inf]), st.sampled_from([1, 7, 33, 58, math.inf]))


class Fates:
    """Trains by looking up what a replica would do, honouring `needed` after every check as `train` does."""

    def __init__(self, table):
        self.table = table
        self.steps = 0

    def train(self, replicas, needed=None):
        trajectories = [Trajectory(replica) for replica in replicas]
        active = list(trajectories)
        for step in range(EVERY, STEPS + 1, EVERY):
            wanted = needed(trajectories) if needed else [not t.reached for t in trajectories]
            keep = {id(t) for t, still in zip(trajectories, wanted, strict=True) if still}
            for trajectory in active:
                trajectory.cancelled = id(trajectory) not in keep and not trajectory.reached
            active = [t for t in active if id(t) in keep]
            for trajectory in active:
                reaches, diverges = self.table[trajectory.replica]
                trajectory.steps = int(min(step, diverges + 1))
                if diverges < step:
                    trajectory.diverged_at = diverges
                if reaches + EVERY <= trajectory.steps and reaches + EVERY <= step:
                    trajectory.reached_at = reaches
            active = [t for t in active if not t.diverged]
        self.steps += sum(t.steps for t in trajectories)
        return trajectories


def table(draw_fates, seeds):
    return {
        Replica(rate, seed): draw_fates[place * len(seeds) + seed] for place, rate in enumerate(GRID) for seed in seeds
    }


def brute_force(fates_by_replica, seeds, question):
    everything = Fates(fates_by_replica).train(list(fates_by_replica), lambda ts: [True] * len(ts))
    highest = 0.0
    for rate in GRID:
        outcomes = [outcome(t, question, STEPS) for t in everything if t.replica.learning_rate == rate]
        if majority(outcomes):
            highest = rate
    return highest


@given(st.integers(1, 11).flatmap(lambda n: st.tuples(st.just(n), st.lists(fates, min_size=13 * n, max_size=13 * n))))
def test_search_equals_training_everything(drawn):
    count, draws = drawn
    seeds = tuple(range(count))
    fates_by_replica = table(draws, seeds)
    trainer = Fates(fates_by_replica)
    found = CeilingSearch(trainer.train, seeds, STEPS).run(bisections=0)
    for question in ("stable", "trainable"):
        assert found[question].value == brute_force(fates_by_replica, seeds, question)
        assert found[question].censored == (found[question].value == GRID[-1])


def test_search_spends_little_where_a_high_rate_trains():
    seeds = range(5)
    fates_by_replica = {
        Replica(rate, seed): (math.inf, 1) if rate > 0.5 else (10, math.inf) for rate in GRID for seed in seeds
    }
    trainer = Fates(fates_by_replica)
    found = CeilingSearch(trainer.train, seeds, STEPS).run(bisections=0)
    assert found["trainable"].value == found["stable"].value == pytest.approx(10**-0.5)
    assert trainer.steps < 0.2 * 13 * 5 * STEPS


def test_bisection_narrows_the_bracket_three_times():
    edge = 0.2

    class Edge:
        def __getitem__(self, replica):
            return (10, math.inf) if replica.learning_rate <= edge else (math.inf, 1)

    found = CeilingSearch(Fates(Edge()).train, range(3), STEPS).run()
    for ceiling in found.values():
        assert ceiling.value <= edge < ceiling.value * 10 ** (0.5 / 8) * (1 + 1e-9)
        assert not ceiling.censored


def test_censored_ceiling_is_not_bisected():
    class Always:
        def __getitem__(self, replica):
            return (10, math.inf)

    trainer = Fates(Always())
    search = CeilingSearch(trainer.train, range(3), STEPS)
    found = search.run()
    assert found["trainable"].censored
    assert found["stable"].censored
    assert {replica.learning_rate for replica in search.trajectories} <= set(GRID)


def test_outcomes_are_complete_from_the_ceiling_up():
    class Mixed:
        def __getitem__(self, replica):
            if replica.learning_rate > 2:
                return (math.inf, 3)
            return (10, math.inf) if replica.seed != 1 else (math.inf, math.inf)

    search = CeilingSearch(Fates(Mixed()).train, range(3), STEPS)
    found = search.run(bisections=0)
    assert found["trainable"].value == 1.0
    assert search.outcomes(1.0, "trainable") == [True, False, True]
    assert search.tested("trainable")[0] <= 1.0


@given(st.integers(1, 6), st.data())
def test_best_rate_is_the_one_with_the_fewest_median_steps(seeds, data):
    fates_by_replica = {
        Replica(rate, seed): (data.draw(st.sampled_from([10, 20, 30, 40, math.inf])), math.inf)
        for rate in GRID
        for seed in range(seeds)
    }
    medians = {
        rate: statistics.median_low(
            t.reached_at for t in Fates(fates_by_replica).train([Replica(rate, seed) for seed in range(seeds)])
        )
        for rate in GRID
    }
    best = best_rate(Fates(fates_by_replica).train, range(seeds), STEPS, EVERY, GRID)
    if min(medians.values()) == math.inf:
        assert best == 0
    else:
        assert medians[best] == min(medians.values())


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=11))
def test_majority_is_open_exactly_while_it_can_still_go_either_way(outcomes):
    low = majority([bool(o) for o in outcomes])
    high = majority([o is not False for o in outcomes])
    assert majority(outcomes) is (low if low == high else None)


def test_bad_grids_and_seeds_are_refused():
    with pytest.raises(ValueError, match="no seeds"):
        CeilingSearch(lambda *_: [], (), STEPS)
    with pytest.raises(ValueError, match="ascending"):
        CeilingSearch(lambda *_: [], (0,), STEPS, grid=(1.0, 0.1))


@given(st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), st.lists(fates, min_size=13 * n, max_size=13 * n))))
def test_a_seeds_own_bracket_is_that_of_training_it_at_every_rate(drawn):
    count, draws = drawn
    seeds = tuple(range(count))
    fates_by_replica = table(draws, seeds)
    search = CeilingSearch(Fates(fates_by_replica).train, seeds, STEPS)
    search.run(bisections=0)
    own = search.run_own(bisections=0)
    for question in ("stable", "trainable"):
        for seed in seeds:
            alone = {replica: fate for replica, fate in fates_by_replica.items() if replica.seed == seed}
            highest = brute_force(alone, [seed], question)
            assert own[question][seed].low == highest
            place = GRID.index(highest) + 1 if highest else 0
            assert own[question][seed].high == (GRID[place] if place < len(GRID) else math.inf)


def test_a_seed_that_the_majority_outvotes_is_followed_down_and_bisected():
    edges = (3.0, 2.0, 2.0, 0.004)

    class Edges:
        def __getitem__(self, replica):
            return (10, math.inf) if replica.learning_rate <= edges[replica.seed] else (math.inf, 1)

    search = CeilingSearch(Fates(Edges()).train, range(4), STEPS)
    search.run()
    for own in search.run_own().values():
        for seed, edge in enumerate(edges):
            assert own[seed].low <= edge < own[seed].high == pytest.approx(own[seed].low * 10 ** (0.5 / 8))


def test_own_ceilings_at_the_ends_of_the_grid_are_bounds():
    class Ends:
        def __getitem__(self, replica):
            return (10, math.inf) if replica.seed == 0 else (math.inf, 1)

    search = CeilingSearch(Fates(Ends()).train, range(3), STEPS)
    search.run()
    own = search.run_own()["trainable"]
    assert (own[0].low, own[0].high) == (GRID[-1], math.inf)
    assert (own[1].low, own[1].high) == (0.0, GRID[0])


def test_own_ceilings_leave_the_majoritys_as_they_were():
    class Mixed:
        def __getitem__(self, replica):
            return (10, math.inf) if replica.learning_rate <= (1.0, 1.0, 0.01)[replica.seed] else (math.inf, 1)

    search = CeilingSearch(Fates(Mixed()).train, range(3), STEPS)
    before = search.run()
    tested = search.tested("trainable")
    outcomes = [search.outcomes(rate, "trainable") for rate in tested]
    search.run_own()
    assert before["trainable"].value == pytest.approx(1.0)
    assert [search.outcomes(rate, "trainable") for rate in tested] == outcomes
