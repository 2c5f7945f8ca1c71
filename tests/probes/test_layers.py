"""Which parameters belong to which layer, and what is read at its input, its linear map and its activation."""

import pytest
import torch
from torch import nn

from ics_bench.probes.layers import layers_of, signals
from ics_bench.subjects.initializers import he
from ics_bench.subjects.mlp import MLP
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norm import load_norm


def net(norm="none", depth=4, **options):
    return MLP(6, 3, depth, 8, load_norm(norm).build, he, torch.Generator().manual_seed(0), **options)


def batch():
    return torch.randn(16, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("residual", [False, True])
def test_layers_split_the_parameters_and_start_with_their_weight(norm, residual):
    model = net(norm, residual=residual)
    layers = layers_of(model)
    assert len(layers) == 4
    assert [name for layer in layers for name in layer.parameters] == [name for name, _ in model.named_parameters()]
    for layer in layers:
        assert layer.weight == layer.parameters[0]
        assert isinstance(model.get_submodule(layer.module), nn.Linear)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral", "weight_standardization"])
def test_the_weight_under_a_norm_of_weights_is_the_parameter_of_its_shape(norm):
    model = build_model(
        "plain",
        in_features=6,
        num_classes=3,
        depth=4,
        width=8,
        norm_layer=load_norm(norm).build,
        initialize=he,
        generator=torch.Generator().manual_seed(0),
    )
    parameters = dict(model.named_parameters())
    for layer in layers_of(model):
        assert parameters[layer.weight].shape == model.get_submodule(layer.module).weight.shape
        assert "parametrizations" in layer.weight or layer.module == "head"


@pytest.mark.parametrize("placement", ["pre", "sandwich", "post"])
def test_a_transformers_norms_belong_to_the_matrix_that_computes_before_them(placement):
    model = build_model(
        f"transformer_{placement}",
        in_features=4,
        num_classes=5,
        depth=6,
        width=8,
        norm_layer=load_norm("layer").build,
        initialize=he,
        generator=torch.Generator().manual_seed(0),
    )
    modules = [module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.LayerNorm)]
    called = []
    for module in modules:
        module.register_forward_hook(lambda module, *_: called.append(module))
    model(torch.randint(0, 5, (2, 4)))
    assert modules == called


def test_gain_and_offset_belong_to_the_matrix_before_them():
    first = layers_of(net("batch"))[0]
    assert [name.split(".")[-2] for name in first.parameters] == ["linear", "linear", "norm", "norm"]


def test_a_single_linear_module_is_one_layer_and_none_is_an_error():
    (layer,) = layers_of(nn.Linear(2, 3))
    assert (layer.weight, layer.parameters) == ("weight", ("weight", "bias"))
    with pytest.raises(ValueError, match="ReLU has no linear"):
        layers_of(nn.ReLU())


def test_signals_of_a_plain_net_by_hand():
    model, x = net("batch"), batch()
    found = signals(model, x)
    h = x
    for place, layer in enumerate(model.hidden):
        z = layer.linear(h)
        normalized = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(found.inputs[place], h)
        torch.testing.assert_close(found.linear[place], z)
        torch.testing.assert_close(found.pre_activations[place], normalized)
        h = normalized.relu()
    torch.testing.assert_close(found.inputs[3], h)
    assert [len(found.inputs), len(found.linear), len(found.pre_activations)] == [4, 4, 3]
    assert not any(t.requires_grad for t in (*found.inputs, *found.linear, *found.pre_activations))


def test_norm_after_the_activation_leaves_the_linear_output_as_pre_activation():
    found = signals(net("batch", norm_position="after"), batch())
    assert all(torch.equal(a, b) for a, b in zip(found.pre_activations, found.linear[:3], strict=True))


def test_other_models_give_their_linear_outputs():
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    found = signals(model, torch.randn(5, 1, 6, generator=torch.Generator().manual_seed(0)))
    assert found.pre_activations == found.linear
    assert [tuple(t.shape) for t in found.linear] == [(5, 2, 4), (5, 2)]


@pytest.mark.parametrize("training", [True, False])
def test_everything_is_as_it_was(training):
    model, x = net("noisy_batch").train(training), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    signals(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_random_draws_follow_the_seed():
    model, x = net("noise"), batch()
    one, again, other = (signals(model, x, seed).pre_activations[1] for seed in (5, 5, 6))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
