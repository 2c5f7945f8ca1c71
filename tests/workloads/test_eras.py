"""The systems of each era: what is yielded, against ordinary training, what ran before the start, and controls."""

import itertools
import math
import statistics
from dataclasses import replace

import pytest
import torch

from ics_bench.core import Case, UsageError
from ics_bench.subjects.model import build_model
from ics_bench.training import Recipe, Trajectory
from ics_bench.training.train import data_order
from ics_bench.workloads import _eras_start, _eras_tuning, eras
from ics_bench.workloads._eras_start import Pretraining, flops_per_step, pretrain_greedily, relative_gradients
from ics_bench.workloads._eras_systems import BOTTLENECKS, SYSTEMS, VGG_DEPTHS
from ics_bench.workloads._eras_tuning import outcomes_of, tune
from ics_bench.workloads.eras import BATCH_SIZE, CHECK_EVERY, SPACING, STEPS, TARGET, WORKLOAD

SEEDS = range(1000, 1002)


@pytest.fixture(autouse=True, scope="module")
def _small():
    """One thread, and three rates of the seven: enough for what is tested here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eras, "RATES", (0.01, 0.1, 1.0))
        yield
    torch.set_num_threads(before)


def case(system="tanh_xavier", depth=3, depths="one", rates="best", data="digits"):
    return Case.of(system=system, depth=depth, depths=depths, rates=rates, data=data)


def measure(**keys):
    return list(WORKLOAD.measure(case(**keys), SEEDS, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


@pytest.fixture(scope="module")
def measured():
    return measure()


def test_steps_to_target_are_those_of_an_ordinary_run(measured):
    """torch's own SGD with momentum, the definition of the target written out."""
    problem = WORKLOAD.drawn(case(), "cpu")
    (rate,) = values(measured, "best_learning_rate")
    for seed, found in zip(SEEDS, values(measured, "steps_to_target"), strict=True):
        model = problem.build(seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
        checks = []
        for step, index in enumerate(data_order(problem, Recipe(STEPS, BATCH_SIZE), seed), start=1):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(problem.x[index]), problem.y[index]).backward()
            optimizer.step()
            if step % CHECK_EVERY == 0:
                checks.append((model(problem.x).argmax(1) == problem.y).double().mean().item() >= TARGET)
        reached = [i for i, (a, b) in enumerate(itertools.pairwise(checks), start=1) if a and b]
        assert found == (reached[0] * CHECK_EVERY if reached else math.inf)


def test_same_seeds_give_the_same_bits(measured):
    assert measure() == measured


def test_what_is_yielded_is_what_applies(measured):
    assert {m.metric for m in measured} == {m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, case())}
    everything = measure(depth=5, depths="ladder", rates="every")
    assert {m.metric for m in everything} == {m.name for m in WORKLOAD.metrics}


def test_ladder_and_every_rate_hold_the_same_runs(measured):
    ladder, every = measure(depth=5, depths="ladder"), measure(rates="every")
    assert values(every, "steps_to_target") == values(measured, "steps_to_target")
    alone = measure(depth=5)
    assert values(ladder, "steps_to_target") == values(alone, "steps_to_target")
    for m in (m for m in ladder if m.metric == "feasible_depth"):
        assert m.curve.x == (3.0, 5.0)
        assert m.value == max(depth for depth, trains in zip(m.curve.x, m.curve.y, strict=True) if trains) == 5
    for m in (m for m in every if m.metric == "rate_width"):
        assert m.curve.x == eras.RATES
        assert m.value == SPACING * sum(m.curve.y) > 0


def test_a_named_rate_holds_the_same_runs_without_tuning(measured):
    """Rates differ in their steps here, so that another rate, or another start, would show."""
    every = measure(rates="every")
    (best,) = values(measured, "best_learning_rate")
    named = measure(rates=f"{best:.3g}")
    for metric in ("trained", "steps_to_target"):
        assert values(named, metric) == values(measured, metric)
    other = measure(rates="0.01")
    assert values(other, "best_learning_rate") == [0.01]
    assert values(other, "steps_to_target") != values(measured, "steps_to_target")
    reached = [m.curve.y[0] for m in every if m.metric == "rate_width"]
    assert values(other, "trained") == reached
    assert values(other, "replica_steps") < values(measured, "replica_steps")


def test_a_named_rate_starts_no_tuning_seed(monkeypatch):
    started = []

    def spy(problem, seeds, pretraining):
        started.append(tuple(seeds))
        return pretrain_greedily(problem, seeds, pretraining)

    monkeypatch.setattr(_eras_start, "pretrain_greedily", spy)
    assert values(measure(system="belief", rates="1"), "trained") == [1, 1]
    assert started == [tuple(SEEDS)]


def test_a_named_rate_is_the_shallow_nets_too(monkeypatch):
    def tune(*arguments):
        raise AssertionError("the rate was given")

    trained_at = []

    def start_staged(shallow, drawn, recipe, seeds, rate):
        trained_at.append(rate)
        return {}

    monkeypatch.setattr(_eras_tuning, "tune", tune)
    monkeypatch.setattr(_eras_start, "start_staged", start_staged)
    WORKLOAD.problem(case(system="vgg_staged", depth=13, rates="0.01"), SEEDS, "cpu")
    assert trained_at == [0.01]


def test_weights_that_are_too_small_train_at_no_rate():
    measurements = measure(system="tanh_small", depth=10)
    assert values(measurements, "trained") == [0, 0]
    assert values(measurements, "steps_to_target") == [math.inf, math.inf]
    assert all("no rate" in m.warnings[-1] for m in measurements if m.metric == "trained")


def test_pretraining_starts_what_else_does_not_train():
    """Five sigmoid layers stay at chance at every rate; the same ones, pre-trained, train."""
    assert values(measure(system="belief", depth=5), "trained") == [1, 1]
    assert values(measure(system="sigmoid", depth=5), "trained") == [0, 0]


def test_steps_before_the_start_are_told_and_given_to_the_net_that_has_none():
    def before(system, depth):
        return WORKLOAD.steps_before_start(case(system, depth))

    assert [before("belief", 5), before("vgg_staged", 19), before("vgg_staged", 11), before("sigmoid", 5)] == [
        4 * eras.PRETRAINING_STEPS,
        eras.STEPS,
        0,
        0,
    ]
    longer = WORKLOAD.budget(case("sigmoid_same_steps", 5)).steps
    assert longer == eras.STEPS + before("belief", 5)


def test_pretraining_looks_at_no_label_and_lets_the_signal_through():
    problem = WORKLOAD.drawn(case("belief"), "cpu")
    settings = Pretraining(60, BATCH_SIZE, eras.GAUSSIAN_RATE, eras.BINARY_RATE)
    trained = pretrain_greedily(problem, SEEDS, settings)[1000]
    blind = pretrain_greedily(replace(problem, y=torch.zeros_like(problem.y)), SEEDS, settings)[1000]
    drawn = problem.build(1000)
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), blind.parameters(), strict=True))
    assert torch.equal(trained.head.weight, drawn.head.weight)
    for place in (0, 1):
        assert not torch.equal(trained.hidden[place].linear.weight, drawn.hidden[place].linear.weight)

    def spread(net):
        """How much the second layer's features differ between samples."""
        return net.hidden[:2](problem.x).std(dim=0).mean().item()

    with torch.no_grad():
        assert spread(trained) > 2 * spread(drawn)


def test_a_staged_net_starts_from_a_trained_shallow_one(monkeypatch):
    monkeypatch.setattr(eras, "STEPS", 10)
    deep = case("vgg_staged", 16)
    started, drawn = WORKLOAD.problem(deep, [1000], "cpu").build(1000), WORKLOAD.drawn(deep, "cpu").build(1000)
    shallow = WORKLOAD.drawn(case("vgg_staged", 11), "cpu").build(1000)
    changed = [not torch.equal(a, b) for a, b in zip(started.parameters(), drawn.parameters(), strict=True)]
    assert sum(changed) == 14  # weight and bias of four convolutions and three dense layers
    assert not torch.equal(started.dense[1].weight, shallow.dense[1].weight)
    assert (started.dense[1].weight - shallow.dense[1].weight).norm() < 0.5 * shallow.dense[1].weight.norm()


def test_matrix_products_are_counted_as_by_hand():
    """Two a multiply-add; backward twice the forward, but for the input's gradient, which nobody needs."""
    sizes = [(64, 64), (64, 64), (64, 10)]
    forward = sum(a * b for a, b in sizes)
    expected = 2 * BATCH_SIZE * (3 * forward - 64 * 64)
    assert flops_per_step(WORKLOAD.drawn(case(), "cpu"), BATCH_SIZE, 0) == expected


def test_relative_gradients_are_those_of_autograd_and_tell_recipes_apart():
    problem = WORKLOAD.drawn(case(depth=4), "cpu")
    model = problem.build(7).double()
    torch.nn.functional.cross_entropy(model(problem.x[:BATCH_SIZE].double()), problem.y[:BATCH_SIZE]).backward()
    expected = [float(p.grad.norm() / p.detach().norm()) for p in model.parameters() if p.dim() == 2]
    assert relative_gradients(problem, BATCH_SIZE, 7) == pytest.approx(expected, rel=1e-9)

    def typical(system, depth):
        return statistics.median(relative_gradients(WORKLOAD.drawn(case(system, depth), "cpu"), BATCH_SIZE, 7))

    assert typical("residual_none", 52) > 1e5 * typical("residual_none", 8)  # each branch doubles the second moment
    assert typical("residual_batch", 52) < 1
    assert typical("residual_skipinit", 52) == 0  # nothing reaches a branch whose gain is 0


def test_systems_of_one_family_draw_the_same_weights_and_order():
    arms = [WORKLOAD.drawn(case(system, 8), "cpu") for system in ("resnet_batch", "resnet_none", "chain_none")]
    heads = [arm.build(3).head.weight for arm in arms]
    assert torch.equal(heads[0], heads[1])
    stems = [arm.build(3).stem[1].weight for arm in arms]
    assert torch.equal(stems[0], stems[2])
    assert arms[0].order_seed(3) == arms[2].order_seed(3) != arms[0].order_seed(4)


def test_depths_that_a_system_has_are_those_that_build():
    """The table keeps its own list, since the models import torch; the two must not drift apart."""
    from ics_bench.subjects.norm import load_norm
    from ics_bench.subjects.resnet import BOTTLENECK_LAYOUTS
    from ics_bench.subjects.vgg import LAYOUTS

    assert tuple(LAYOUTS) == VGG_DEPTHS
    assert tuple(BOTTLENECK_LAYOUTS) == BOTTLENECKS
    for system in {system.architecture: system for system in SYSTEMS.values()}.values():
        for depth in (2, 3, 8, 11, 12, 20):
            try:
                build_model(
                    system.architecture,
                    in_features=64,
                    num_classes=10,
                    depth=depth,
                    width=2,
                    norm_layer=load_norm("none").build,
                    initialize=lambda module, generator: None,
                    generator=torch.Generator(),
                )
                builds = True
            except UsageError:
                builds = False
            assert system.has_depth(depth) == builds, (system.architecture, depth)


@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_every_declared_depth_exists(profile):
    for declared in WORKLOAD.cases(profile):
        assert WORKLOAD.includes(declared), declared.id


def test_convolutions_are_skipped_on_sequences():
    pytest.importorskip("mnist1d")
    assert "40 features" in WORKLOAD.skip(case("vgg_he", 11, data="mnist1d"), "cpu")
    assert WORKLOAD.skip(case(data="mnist1d"), "cpu") is None


@pytest.mark.parametrize(("best", "warned"), [(0.01, "lowest"), (0.1, None), (1.0, "highest")])
def test_a_best_rate_at_the_end_of_the_grid_is_warned_of(best, warned):
    rates = (0.01, 0.1, 1.0)
    trainer = FakeTrainer({rate: ([30 if rate == best else 50] * 9, 1.0) for rate in rates})
    found = outcomes_of(trainer, (0, 1), (-1, -2, -3), rates, every=False)
    assert found.rate == best
    assert [text for text in found.warnings if "of the grid" in text] == (
        [f"the best rate, {best:g}, is the {warned} of the grid: a better one may lie beyond"] if warned else []
    )


class FakeTrainer:
    """Knows how many steps every rate takes, and its last loss."""

    def __init__(self, outcomes):
        self.outcomes, self.recipe, self.warnings = outcomes, Recipe(steps=100), ()

    def train(self, replicas, needed=None):
        return [
            Trajectory(r, losses=[self.outcomes[r.learning_rate][1]] * 100, reached_at=steps, steps=100)
            for r in replicas
            for steps in [self.outcomes[r.learning_rate][0][-1 - r.seed]]
        ]


def test_the_rate_is_the_quickest_and_else_the_least_bad():
    inf = math.inf
    quick = FakeTrainer({0.1: ([30, 30, inf], 1.0), 1.0: ([50, 20, 50], 0.1)})
    assert tune(quick, (-1, -2, -3), (0.1, 1.0))[::2] == (0.1, False)
    most = FakeTrainer({0.1: ([inf, 30, inf], 2.0), 1.0: ([inf, inf, inf], 0.1)})
    assert tune(most, (-1, -2, -3), (0.1, 1.0))[::2] == (0.1, True)
    lowest = FakeTrainer({0.1: ([inf] * 3, 2.3), 1.0: ([inf] * 3, 2.1), 3.0: ([inf] * 3, math.nan)})
    assert tune(lowest, (-1, -2, -3), (0.1, 1.0))[::2] == (1.0, True)
