"""Faults planted on purpose, each with the claim or check that notices it.

Claims are judged as the catalogue has them, on seeds from 1000 up, in the settings that a test can afford. Figures are
of those seeds. "Oracle" is `test_norms_agree_with_the_oracle` below: shipped layers, alone and lifted, against the
float64 reference of the kernels.

================================================ ==================================================== ============ ============
fault                                            caught by                                            without      with
================================================ ==================================================== ============ ============
batch norm divides by the unbiased variance      oracle, y                                            exact        off
running variance takes the biased one            oracle, running_var                                  exact        off
the same two in the lifted batch norm            oracle; the first also by the choice of mode         lifted       vmap
epsilon 0.1                                      bn-1, linear, batch 8: rate a layer (theory 1.2)     1.190        1.154
epsilon left out                                 oracle, constant and small input                     exact        off
statistics detached from the gradient            bn-1, linear, batch 8                                1.190        see test
running statistics never updated                 match-2, batch 128: train/eval difference            0.000        0.414
He's gain times or over √2                       init-3 and init-5: rate a layer                      0.987        1.97, 0.49
a probe that restores no buffers, modes, numbers probes leave no trace                                no trace     traces
a diverged replica is left out                   san-1, control without a norm; tests of the rules    supported    not judged
arms that do not share seeds                     ics-6, freezing no layer: decades of steps           0.000        0.05
arms measured on different seeds                 cond-1                                               supported    not judged
the sign of an effect                            cond-1, shift-1                                      +1.18, +1.7  -1.18, -1.7
one data order for all seeds                     data orders by seed and epoch (below)                drawn anew   one
labels among the inputs, test rows in training   digits are a partition                               partition    none
settings of a correlation mispaired              ics-8, smooth-3: correlation, and their controls     -1           see test
a kernel with another epsilon, running variance  kernel check; the throughput is not taken            < 1          > 1
================================================ ==================================================== ============ ============

What the claims are blind to, though a norm or a training run is wrong: the two mix-ups of variances (bn-1 is invariant
to a constant factor behind the norm, match-2 stays 0.14 at batch 8), epsilon left out, one data order for all seeds and
labels among the inputs. The checks named above stand guard there.
"""  # noqa: E501

import contextlib
import dataclasses
import importlib
import math
import pkgutil

import pytest
import torch
from norm_oracle import KINDS, LAYERS, outputs_off
from planted import (
    Unbiased,
    batch_norm,
    biased_lifted,
    forgetful,
    labels_among_inputs,
    labels_shifted,
    one,
    overlapping_parts,
    unbias,
)
from small_claims import TESTS, measure, other_tests, records, small, verdicts, with_norm
from torch import nn

import ics_bench.probes
from ics_bench.claims import judge
from ics_bench.claims.evidence import Evidence
from ics_bench.claims.rules import exceeds, paired, rank_correlation
from ics_bench.claims.rules.rank_correlation import RankCorrelation
from ics_bench.core import Measurement, Workload, derive_seed
from ics_bench.kernels.check import check
from ics_bench.kernels.providers import torch_eager
from ics_bench.subjects import NORMS, initializers
from ics_bench.subjects.data import digits
from ics_bench.subjects.norms.batch import BatchNorm
from ics_bench.training import Problem, Recipe, lifted
from ics_bench.workloads import load_workload
from ics_bench.workloads.kernel_throughput import _problem
from ics_bench.workloads.noisy_norm import NoisyNorm

training = importlib.import_module("ics_bench.training.train")  # the package's attribute of this name is a function


# -- norms


def oracle_off(lifted):
    """Outputs of batch norm, lifted or alone, that are not the oracle's."""
    layers = [layer for layer in LAYERS if layer[0] == "batch" and layer[2] == lifted]
    return {name for layer in layers for kind in KINDS for name in outputs_off(*layer, kind)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("norm", "mode", "alone"), LAYERS)
def test_norms_agree_with_the_oracle(norm, mode, alone, kind):
    assert outputs_off(norm, mode, alone, kind) == []


def test_faultless_batch_norm_from_its_definition_is_the_oracles(monkeypatch):
    monkeypatch.setattr(BatchNorm, "forward", batch_norm())
    assert oracle_off(lifted=False) == set()


@pytest.mark.parametrize(
    ("fault", "output"),
    [
        ({"forward_factor": unbias}, "y"),
        ({"running_factor": one}, "running_var"),
        ({"eps": 0.1}, "y"),
        ({"eps": 0.0}, "dx"),
        ({"stale": True}, "running_mean"),
        ({"detached": True}, "dx"),
    ],
    ids=["unbiased forward", "biased running variance", "eps 0.1", "no eps", "stale", "detached"],
)
def test_a_faulty_batch_norm_is_not_the_oracles(monkeypatch, fault, output):
    """Variances mixed up, a wrong epsilon or none, stale or detached statistics → the oracle."""
    monkeypatch.setattr(BatchNorm, "forward", batch_norm(**fault))
    assert output in oracle_off(lifted=False)


def test_lifted_batch_norm_by_the_unbiased_variance(monkeypatch):
    """Variances mixed up in the lifted forward → the oracle, and the choice of mode, which takes vmap instead."""
    chosen = other_tests("training/test_replica_training.py").test_the_fastest_mode_that_computes_the_same_is_chosen
    chosen("batch", "lifted")
    monkeypatch.setattr(lifted, "_BatchNormalize", Unbiased)
    assert "y" in oracle_off(lifted=True)
    with pytest.raises(AssertionError):
        chosen("batch", "lifted")
    chosen("batch", "vmap")


def test_lifted_running_variance_of_the_biased_one(monkeypatch):
    """Variances mixed up in the lifted running statistics → the oracle."""
    monkeypatch.setattr(lifted.LiftedBatchNorm, "forward", biased_lifted)
    assert oracle_off(lifted=True) == {"running_var"}


BACKWARD = "linear, batch 8"


@pytest.fixture(scope="module")
def rate_of_batch_norm():
    return verdicts(small("bn-1", BACKWARD, seeds=5))


@pytest.mark.parametrize("fault", [{"eps": 0.1}, {"detached": True}], ids=["eps 0.1", "detached"])
def test_a_foreign_norm_with_a_wrong_gradient(rate_of_batch_norm, fault):
    """Epsilon 0.1, or statistics left out of the gradient, in a norm of the user's → bn-1 by its closed form."""
    assert rate_of_batch_norm == ("supported", {BACKWARD: "supported"})
    faulty = type("Faulty", (BatchNorm,), {"forward": batch_norm(**fault)})
    (name,) = NORMS.add_all((faulty,), replace=True)
    assert verdicts(with_norm(small("bn-1", BACKWARD, seeds=5), name)) == ("refuted", {BACKWARD: "refuted"})


def test_stale_running_statistics(monkeypatch):
    """Running statistics never updated → match-2, batch 128, where both modes must answer alike."""
    claim = small("match-2", "batch 128")
    assert verdicts(claim) == ("refuted", {"batch 128": "refuted"})
    monkeypatch.setattr(BatchNorm, "forward", batch_norm(stale=True))
    assert verdicts(claim) == ("supported", {"batch 128": "supported"})


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_he_with_a_wrong_gain(monkeypatch, factor):
    """He's standard deviation times or over √2 → init-3 and both of init-5's settings for ReLU."""
    kept, suits = small("init-3", "float64"), small("init-5", "He, ReLU: forward", "He, ReLU: backward")
    assert verdicts(kept)[0] == verdicts(suits)[0] == "supported"

    def faulty(module, generator):
        initializers._gaussian(module, generator, math.sqrt(factor * 2.0 / module.weight.shape[1]))

    monkeypatch.setitem(initializers._BUILTIN, "he", faulty)
    assert verdicts(kept)[0] == verdicts(suits)[0] == "refuted"


# -- kernels


@pytest.mark.parametrize("fault", [{"eps": 0.1}, {"eps": 1e-30}, {"momentum": 0.9}])
def test_a_faulty_kernel_is_not_timed(monkeypatch, fault):
    """Another epsilon, next to none, or another library's momentum in a kernel → the kernel check; nothing is timed."""
    workload = load_workload("kernel_throughput")
    pins = {"norm": "batch", "direction": "forward", "mode": "train", "shape": "8x64x28x28"}
    pins |= {"layout": "contiguous", "provider": "torch_eager"}
    (case,) = workload.cases("quick", {name: (value,) for name, value in pins.items()})
    assert check(torch_eager.PROVIDER, _problem(case), 1000, "cpu").correct
    build = torch_eager._BUILDERS["batch", "forward"]
    faulty = lambda problem, tensors: build(dataclasses.replace(problem, **fault), tensors)  # noqa: E731
    monkeypatch.setitem(torch_eager._BUILDERS, ("batch", "forward"), faulty)
    (found,) = workload.measure(case, (1000,), "cpu")
    assert (found.metric, found.value > 1.0) == ("error_over_bound", True)


# -- probes


CAUGHT = {
    "nothing": set(),
    "buffers": {"layers.signals", "layerwise.trace", "gradient_shift.gradient_shift"},
    "modes": {"additions.additions"},
    "numbers": {"layers.signals", "layerwise.trace", "objective.loss_and_gradient", "landscape.landscape"},
}


@pytest.mark.parametrize(("forgotten", "caught"), CAUGHT.items())
def test_a_probe_that_does_not_restore(monkeypatch, forgotten, caught):
    """Probes that leave running statistics, modes or random numbers changed → the table of probes without a trace."""
    for info in pkgutil.iter_modules(ics_bench.probes.__path__):
        module = importlib.import_module(f"ics_bench.probes.{info.name}")
        if hasattr(module, "preserved"):
            monkeypatch.setattr(module, "preserved", forgetful(forgotten))
    if forgotten == "numbers":  # which surfaces keep by themselves
        monkeypatch.setattr(ics_bench.probes.objective, "fork_rng", lambda devices: contextlib.nullcontext())
    probes = other_tests("probes/test_probes_leave_no_trace.py")
    with torch.random.fork_rng():
        leave = {name for name in probes.PROBES if any(leaves_trace(probes, name, mode) for mode in (True, False))}
    assert leave >= caught
    assert bool(leave) == bool(caught)


def leaves_trace(probes, name, mode):
    try:
        probes.assert_no_trace(probes.PROBES[name], mode)
    except AssertionError:
        return True
    return False


# -- replicas, seeds and data

NO_NORM = "nor does no norm, rate 1.0"


def test_a_diverged_replica_that_is_not_reported(monkeypatch):
    """A workload that leaves diverged replicas out → san-1's control, in which nearly all diverge, lacks seeds."""
    claim = small("san-1", NO_NORM)
    assert verdicts(claim) == ("supported", {NO_NORM: "supported"})
    whole = NoisyNorm.measure
    survivors = lambda *a: (m for m in whole(*a) if not any("diverged" in text for text in m.warnings))  # noqa: E731
    monkeypatch.setattr(NoisyNorm, "measure", survivors)
    (record,) = records(claim)
    assert len({m.seed for m in record.measurements}) < claim.least_seeds
    assert verdicts(claim, record.measurements) == ("inconclusive", {NO_NORM: "inconclusive"})


def test_a_diverged_replica_that_is_not_judged(monkeypatch):
    """A judge that leaves diverged replicas out → the tests of every kind of rule that meets them."""
    monkeypatch.syspath_prepend(str(TESTS / "claims"))
    judged, effects = other_tests("claims/test_judge.py"), other_tests("claims/test_effect_rules.py")
    checks = [
        judged.test_replicas_that_never_arrive_count_as_failures,
        lambda: judged.test_a_seed_without_a_number_is_never_dropped(math.nan),
        lambda: effects.test_a_diverged_seed_is_no_success_whichever_way({"at_least": 0.0}),
    ]
    for holds in checks:
        holds()
    every = Evidence.by_seed
    monkeypatch.setattr(
        Evidence, "by_seed", lambda *a: {seed: m for seed, m in every(*a).items() if not math.isnan(m.value)}
    )
    for holds in checks:
        with pytest.raises(AssertionError):
            holds()


FREEZING = "freezing no layer changes nothing"


def test_arms_that_do_not_share_their_draws(monkeypatch):
    """Seeds derived from the whole case → ics-6's control, two arms that are one net where they share draws."""
    claim = small("ics-6", FREEZING)
    assert verdicts(claim) == ("supported", {FREEZING: "supported"})
    unpaired = lambda self, case, seed, purpose: derive_seed(self.name, case.id, seed, purpose)  # noqa: E731
    monkeypatch.setattr(Workload, "seed_for", unpaired)
    assert verdicts(claim) == ("inconclusive", {FREEZING: "inconclusive"})


def data_orders(seeds=(1, 2)):
    """Orders ``(steps, batch)`` of three epochs of four whole batches, by seed."""
    x = torch.zeros(35, 2)
    problem = Problem(x, torch.zeros(35, dtype=torch.int64), lambda seed: nn.Linear(2, 2), lambda seed: 100 + seed)
    return [training.data_order(problem, Recipe(steps=12, batch_size=8), seed) for seed in seeds]


def assert_orders_are_drawn_by_seed_and_epoch():
    first, second = data_orders()
    assert torch.equal(first, data_orders()[0])
    assert not torch.equal(first, second)
    for order in (first, second):
        epochs = [epoch.flatten().tolist() for epoch in order.split(4)]
        assert all(len(set(epoch)) == 32 for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 3
        assert len({frozenset(epoch) for epoch in epochs}) > 1, "the same samples are left out of every epoch"


def test_data_orders_differ_by_seed_and_epoch():
    assert_orders_are_drawn_by_seed_and_epoch()


ORDERS = {
    "one for all seeds": lambda order: lambda problem, recipe, seed, extra=0: order(problem, recipe, 0, extra),
    "one batch for all steps": lambda order: lambda *a: order(*a)[:1].expand_as(order(*a)),
    "never shuffled": lambda order: lambda *a: torch.arange(32).view(4, 8).repeat(3, 1),
    "one shuffle for all epochs": lambda order: lambda *a: order(*a)[:4].repeat(3, 1),
    "with replacement": lambda order: lambda p, r, s, e=0: order(p, r, s, e) // 2,
}


@pytest.mark.parametrize("fault", ORDERS)
def test_a_data_order_that_is_not_drawn(monkeypatch, fault):
    """A data order that does not depend on the seed, the step or the epoch → the orders by seed and epoch."""
    monkeypatch.setattr(training, "data_order", ORDERS[fault](training.data_order))
    with pytest.raises(AssertionError):
        assert_orders_are_drawn_by_seed_and_epoch()


@pytest.mark.parametrize("fault", [labels_among_inputs, overlapping_parts, labels_shifted])
def test_data_that_leak_or_are_mislabelled(monkeypatch, fault):
    """Labels among the inputs, test samples in training, wrong labels → digits must be a partition of their source."""
    partition = "test_training_and_test_parts_are_a_partition"
    path = "subjects/test_digits_data.py"
    getattr(other_tests(path), partition)(0)
    load = digits.load
    monkeypatch.setattr(digits, "load", lambda *seed: fault(load(*seed)))
    with pytest.raises(AssertionError):
        getattr(other_tests(path), partition)(0)


# -- the judge


@pytest.fixture(scope="module")
def conditioning():
    claim = small("cond-1", *CENTRING)
    return claim, measure(claim)


CENTRING = ("mean: centring, digits", "scale: standardising, digits")
REGIONS = "straight line, the page's regions"


def test_the_sign_of_an_effect(monkeypatch, conditioning):
    """An advantage with the wrong sign → cond-1 and shift-1, refuted where they were supported."""
    claim, measurements = conditioning
    shift = small("shift-1", REGIONS)
    shifted = measure(shift)
    assert verdicts(claim, measurements)[0] == verdicts(shift, shifted)[0] == "supported"
    right = paired.gain
    for module in (paired, exceeds):
        monkeypatch.setattr(module, "gain", lambda *a: -right(*a))
    assert verdicts(claim, measurements) == ("refuted", dict.fromkeys(CENTRING, "refuted"))
    assert verdicts(shift, shifted) == ("refuted", {REGIONS: "refuted"})


def test_lower_taken_for_higher_or_the_arms_exchanged(conditioning):
    """A claim registered with the wrong better end, or the arms the wrong way round → cond-1."""
    claim, measurements = conditioning
    for setting in claim.settings:
        higher = dataclasses.replace(setting, rule=dataclasses.replace(setting.rule, better="higher"))
        roles = {"subject": setting.arms["baseline"], "baseline": setting.arms["subject"]}
        exchanged = dataclasses.replace(setting, arms=roles)
        for faulty in (higher, exchanged):
            found = judge(dataclasses.replace(claim, settings=(faulty,)), measurements, "standard")
            assert found.verdict == "refuted"


def test_arms_that_were_measured_on_different_seeds(conditioning):
    """Arms with seeds of their own → every paired rule; here cond-1, which is left open."""
    claim, measurements = conditioning
    moved = {m: m.case["preprocessing"] == "centred" and m.seed is not None for m in measurements}
    other = [dataclasses.replace(m, seed=m.seed + 1) if moves else m for m, moves in moved.items()]
    judgement = judge(claim, other, "standard")
    assert judgement.verdict == "inconclusive"
    assert any("different seeds" in text for text in judgement.warnings)


def mispaired(find):
    """The settings' x in the order of the catalogue, their y in that of the alphabet."""

    def faulty(self, evidence, arms, seeds):
        names = [name.removesuffix(".x") for name in arms if name.endswith(".x")]
        others = {f"{name}.y": arms[f"{other}.y"] for name, other in zip(names, sorted(names), strict=True)}
        return find(self, evidence, {**arms, **others}, seeds)

    return faulty


CORRELATIONS = {
    "ics-8": ("W₁/σ, all settings", "W₁/σ against ceilings dealt anew for every seed: checks the rule"),
    "smooth-3": ("β, all settings", "β against ceilings dealt anew for every seed: checks the rule"),
}


def perfectly_ordered(claim, setting):
    """Made-up measurements in which the settings' order by one quantity is the reverse of that by the other."""
    rule, arms = setting.rule, setting.arms
    found = {}
    for place, role in enumerate(role for role in arms if role.endswith(".x")):
        for arm, metric, value in (
            (arms[role], rule.x_metric, 1.0 + place),
            (arms[role[:-2] + ".y"], rule.y_metric, 1.0 / (1.0 + place)),
            (arms[role[:-2] + ".y"], rule.y_bound, 1.1 / (1.0 + place)),
        ):
            for seed in range(claim.least_seeds):
                found[arm, metric, seed] = Measurement(arm.workload, arm.pins, seed, metric, value, "1")
    return list(found.values())


@pytest.mark.parametrize(("claim_id", "setting", "control"), [(name, *both) for name, both in CORRELATIONS.items()])
def test_mispaired_settings_of_a_correlation(monkeypatch, claim_id, setting, control):
    """One setting's x against another's y → the correlation is lost; a control that deals nothing → the control."""
    claim = small(claim_id, setting, controls=(control,))
    measurements = perfectly_ordered(claim, claim.settings[0])
    assert verdicts(claim, measurements) == ("supported", {setting: "supported", control: "supported"})
    with monkeypatch.context() as planted:
        planted.setattr(rank_correlation, "deal", lambda table, groups: table)
        assert verdicts(claim, measurements) == ("inconclusive", {setting: "supported", control: "refuted"})
    monkeypatch.setattr(RankCorrelation, "find", mispaired(RankCorrelation.find))
    assert verdicts(claim, measurements)[1][setting] != "supported"
