"""Every probe that is handed a model leaves it, and the random state, as it found them."""

import importlib
import inspect
import pkgutil
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import ics_bench.probes
from ics_bench.probes.additions import additions
from ics_bench.probes.coupling import coupling, exact_coupling, weight_blocks
from ics_bench.probes.gradient_shift import gradient_shift, gradient_shifts, layer_gradients
from ics_bench.probes.hessian import top_eigenvalues
from ics_bench.probes.landscape import landscape
from ics_bench.probes.layers import layers_of, signals
from ics_bench.probes.layerwise import trace
from ics_bench.probes.linear_prediction import linear_step
from ics_bench.probes.objective import loss_and_gradient, surface
from ics_bench.probes.preserve import preserved
from ics_bench.probes.products import gauss_newton_product, hessian_product
from ics_bench.probes.slope import slope_share
from ics_bench.subjects.mlp import Hidden

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3

TAKES_A_MODEL = ("Module", "Hidden", "Surface", "Objective", "Outputs", "Product")
"""Annotations of a model, or of a function that holds one."""


def net():
    """Batch norm and dropout in every layer; one weight frozen, one gradient kept, one layer in another mode."""
    torch.manual_seed(1)

    def norm(width):
        return nn.Sequential(nn.BatchNorm1d(width), nn.Dropout(0.3))

    model = nn.Sequential(Hidden(5, 4, norm, "relu", "before"), Hidden(4, 4, norm, "tanh", "after"), nn.Linear(4, 3))
    model[0].linear.bias.requires_grad_(False)
    model[1].linear.weight.grad = torch.ones(4, 4)
    return model


def generator():
    return torch.Generator().manual_seed(0)


def use_preserved(model):
    with preserved(model):
        model.eval()
        model.train()
        model(X)


def use_hessian(model):
    s = surface(model, X, Y)
    return hessian_product(s, s.at)


def use_gauss_newton(model):
    s = surface(model, X, Y)
    return gauss_newton_product(s.outputs, s.loss, s.at)


def stepped(model):
    return {name: p.detach() + 0.1 for name, p in model.named_parameters()}


def on_surface(probe):
    def use(model):
        s = surface(model, X, Y)
        return probe(s, s.at)

    return use


def with_product(probe):
    return lambda model: probe(use_hessian(model), surface(model, X, Y).at)


PROBES = {
    "additions.additions": lambda model: additions(model, X, lambda module: "linear" * isinstance(module, nn.Linear)),
    "coupling.coupling": with_product(lambda product, at: coupling(product, at, weight_blocks(at), generator())),
    "coupling.exact_coupling": with_product(lambda product, at: exact_coupling(product, at, weight_blocks(at))),
    "gradient_shift.gradient_shift": lambda model: gradient_shift(model, stepped(model), 1, X, Y, cross_entropy),
    "gradient_shift.gradient_shifts": lambda model: gradient_shifts(model, stepped(model), X, Y, cross_entropy),
    "gradient_shift.layer_gradients": lambda model: layer_gradients(model, X, Y, cross_entropy),
    "hessian.top_eigenvalues": with_product(lambda product, at: top_eigenvalues(product, at, 3, generator())),
    "landscape.landscape": on_surface(lambda s, at: landscape(s, at, (0.1, 1.0))),
    "layers.layers_of": layers_of,
    "layers.signals": lambda model: signals(model, X),
    "layerwise.trace": lambda model: trace(model[:2], X, torch.ones(12, 4)),
    "linear_prediction.linear_step": on_surface(lambda s, at: linear_step(s, at, 0.1)),
    "objective.loss_and_gradient": on_surface(loss_and_gradient),
    "objective.surface": lambda model: surface(model, X, Y),
    "preserve.preserved": use_preserved,
    "products.gauss_newton_product": lambda model: use_gauss_newton(model)(surface(model, X, Y).at),
    "products.hessian_product": lambda model: use_hessian(model)(surface(model, X, Y).at),
    "slope.slope_share": on_surface(lambda s, at: slope_share(s, at, at)),
}


def discovered():
    """Public functions of `ics_bench.probes` with a parameter that is a model or holds one."""
    for info in pkgutil.iter_modules(ics_bench.probes.__path__):
        module = importlib.import_module(f"ics_bench.probes.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            annotations = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
            takes = any(word in annotation for word in TAKES_A_MODEL for annotation in annotations)
            if function.__module__ == module.__name__ and not name.startswith("_") and takes:
                yield f"{info.name}.{name}"


def state(model):
    """Everything that a probe could change, by name; tensors with their identity."""
    found = {"random": random.getstate(), "grad_enabled": torch.is_grad_enabled(), "dtype": torch.get_default_dtype()}
    found |= {"torch": torch.get_rng_state().tolist(), "numpy": repr(np.random.get_state())}
    for name, module in model.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        found[f"{name}: mode and hooks"] = (module.training, [len(h) for h in hooks])
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            found[f"{name}.{key}"] = (id(tensor), tensor.tolist(), tensor.requires_grad, tensor.dtype, tensor.is_leaf)
            found[f"{name}.{key}.grad"] = None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist())
    return found


def assert_no_trace(probe, training):
    model = net().train(training)
    model[1].norm[0].train(not training)
    before = state(model)
    probe(model)
    after = state(model)
    assert after.keys() == before.keys()
    assert [key for key in before if after[key] != before[key]] == []


def test_every_probe_of_a_model_stands_in_the_table():
    assert sorted(PROBES) == sorted(discovered())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PROBES)
def test_model_buffers_modes_gradients_and_random_state_are_untouched(name, training):
    assert_no_trace(PROBES[name], training)


LEAKS = {
    "running statistics": lambda model: model(X),
    "mode": lambda model: model[1].eval(),
    "frozen": lambda model: model.requires_grad_(True),
    "grad": lambda model: cross_entropy(model.eval()(X), Y).backward() or model.train(),
    "grad dropped": lambda model: model.zero_grad(),
    "random numbers": lambda model: torch.rand(1),
    "NumPy's random numbers": lambda model: np.random.rand(),
    "weights": lambda model: model[2].weight.data.add_(1e-6),
    "parameter replaced": lambda model: setattr(model[2], "weight", nn.Parameter(model[2].weight.detach().clone())),
    "hook": lambda model: model[2].register_forward_hook(lambda *_: None),
    "gradients off": lambda model: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_trace_is_seen(leak):
    with torch.enable_grad(), pytest.raises(AssertionError):
        assert_no_trace(LEAKS[leak], training=True)
