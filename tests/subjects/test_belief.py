"""Boltzmann machines: free energies by enumeration, CD-1 by the textbook's formula, what a net takes over."""

import itertools

import pytest
import torch

from ics_bench.subjects.belief import BoltzmannMachine, GreedyStep
from ics_bench.subjects.initializers import default
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norms.none import build as no_norm


def machine_of(kind, visible=5, hidden=3):
    generator = torch.Generator().manual_seed(0)
    machine = BoltzmannMachine(visible, hidden, kind).double()
    with torch.no_grad():
        for parameter in machine.parameters():
            parameter.normal_(0.0, 0.7, generator=generator)
    return machine


def samples(kind, count=6, visible=5):
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(count, visible, generator=generator, dtype=torch.float64)
    return v if kind == "gaussian" else (v > 0).double()


def energy(machine, v, h):
    """E(v, h), written out by the definition of either machine."""
    w, b, a = (p.detach() for p in (machine.weight, machine.hidden_bias, machine.visible_bias))
    own = 0.5 * (v - a).square().sum() if machine.kind == "gaussian" else -(a @ v)
    return own - b @ h - h @ w @ v


@pytest.mark.parametrize("kind", ["binary", "gaussian"])
def test_free_energy_sums_over_every_hidden_state(kind):
    machine = machine_of(kind)
    for v in samples(kind):
        states = [torch.tensor(bits, dtype=torch.float64) for bits in itertools.product((0.0, 1.0), repeat=3)]
        by_hand = -torch.logsumexp(torch.stack([-energy(machine, v, h) for h in states]), dim=0)
        torch.testing.assert_close(machine.free_energy(v[None])[0].detach(), by_hand)


@pytest.mark.parametrize("kind", ["binary", "gaussian"])
def test_gradient_is_the_textbook_update_of_contrastive_divergence(kind):
    """ΔW ∝ ⟨h vᵀ⟩_data − ⟨h vᵀ⟩_reconstruction, and likewise for the biases; descent goes against the gradient."""
    machine, v = machine_of(kind), samples(kind, 50)
    torch.manual_seed(3)
    machine(v).mean().backward()
    torch.manual_seed(3)
    w, b, a = (p.detach() for p in (machine.weight, machine.hidden_bias, machine.visible_bias))
    h = torch.bernoulli(torch.sigmoid(v @ w.t() + b))
    v1 = a + h @ w if kind == "gaussian" else torch.sigmoid(a + h @ w)
    p0, p1 = torch.sigmoid(v @ w.t() + b), torch.sigmoid(v1 @ w.t() + b)
    torch.testing.assert_close(-machine.weight.grad, (p0.t() @ v - p1.t() @ v1) / len(v))
    torch.testing.assert_close(-machine.hidden_bias.grad, (p0 - p1).mean(0))
    torch.testing.assert_close(-machine.visible_bias.grad, (v - v1).mean(0))


def net():
    options = {"in_features": 64, "num_classes": 10, "depth": 4, "width": 6, "norm_layer": no_norm}
    return build_model("belief", **options, initialize=default, generator=torch.Generator().manual_seed(0))


def test_a_greedy_step_trains_its_machine_alone():
    step = GreedyStep(net().hidden[:1], net().machine(1))
    assert {name.split(".")[0] for name, p in step.named_parameters() if p.requires_grad} == {"machine"}
    assert step(torch.randn(7, 64)).shape == (7,)


def test_a_greedy_step_leaves_the_net_that_it_reads_to_be_trained_later():
    model = net()
    GreedyStep(model.hidden[:2], model.machine(2))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_layers_become_what_their_machines_infer():
    model = net()
    machine = model.machine(1)
    assert machine.kind == "binary"
    assert model.machine(0).kind == "gaussian"
    with torch.no_grad():
        machine.weight.add_(1.0)
        machine.hidden_bias.sub_(0.5)
    before = model.hidden[0].linear.weight.clone()
    model.start_layer(1, machine)
    h = torch.rand(4, 6)
    inferred = torch.sigmoid(h @ machine.weight.t() + machine.hidden_bias)
    torch.testing.assert_close(model.hidden[1](h), inferred)
    assert torch.equal(model.hidden[0].linear.weight, before)
