"""Shipped layers, as they are and lifted to train together, against the float64 oracle of the kernels."""

import numpy as np
import torch

from ics_bench.kernels.reference import Inputs, evaluate
from ics_bench.kernels.spec import Problem
from ics_bench.subjects.norm import load_norm
from ics_bench.subjects.norms.group import group_count
from ics_bench.training import MEAN_OUTPUT
from ics_bench.training.stack import Stack

ROWS, FEATURES, POSITIONS = 7, 16, (3, 5)

TOLERANCE = 1e-9
"""Relative to the largest exact value. Both sides compute in float64, whose rounding is seven orders below."""

KINDS = {
    "normal": lambda x: x,
    "constant": lambda x: 0.0 * x + 4.0,
    "small": lambda x: 1e-3 * x,  # a variance below eps: a wrong eps is off by a factor
}

LAYERS = [
    ("batch", True, False),
    ("batch", False, False),
    ("batch", True, True),
    ("batch", False, True),
    ("layer", True, False),
    ("layer", True, True),
    ("rms", True, False),
    ("rms", True, True),
    ("group", True, False),
    ("instance", True, False),
]
"""Norm, training mode, lifted."""


def outputs_off(norm, training, lifted, kind):
    """Names of the outputs and gradients that are not the oracle's."""
    shape = (ROWS, FEATURES, *POSITIONS) if norm in ("group", "instance") else (ROWS, FEATURES)
    generator = torch.Generator().manual_seed(0)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    x, dy = KINDS[kind](normal(*shape)), normal(*shape)
    layer = load_norm(norm).build(FEATURES).double()
    with torch.no_grad():
        for tensor in (*layer.parameters(), *layer.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(0.5 + normal(FEATURES).square())
    state = {name: tensor.detach().clone().numpy() for name, tensor in layer.state_dict().items()}
    actual = (_lifted if lifted else _alone)(layer, x, dy, training)
    fill = {"bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
    rest = {name: state.get(name, np.full(FEATURES, fill.get(name))) for name in ("weight", *fill)}
    inputs = Inputs(x.numpy(), dy.numpy(), **rest)
    eps = torch.finfo(torch.float64).eps if norm == "rms" else 1e-5  # what torch documents
    groups = group_count(FEATURES) if norm == "group" else 1
    exact = {}
    for direction in ("forward", "backward"):
        problem = Problem(norm, direction, shape, "float32", training, groups, eps=eps)
        exact |= evaluate(problem, inputs)
    return [name for name, value in exact.items() if not _close(actual[name], value)]


def _close(actual, exact):
    return np.abs(actual - exact).max() <= TOLERANCE * max(1.0, np.abs(exact).max())


def _alone(layer, x, dy, training):
    x = x.clone().requires_grad_()
    y = layer.train(training)(x)
    gradients = torch.autograd.grad(y, (x, *layer.parameters()), dy)
    return _named(y, gradients, dict(layer.named_parameters()), dict(layer.named_buffers()))


def _lifted(layer, x, dy, training):
    """The second of two replicas, whose first has other inputs."""
    stack = Stack([layer, layer], (0, 1), x.device, "lifted", MEAN_OUTPUT)
    x = torch.stack([x + 1.0, x]).requires_grad_()
    y = stack.outputs(x, training=training)
    gradients = torch.autograd.grad(y, (x, *stack.parameters.values()), torch.stack([dy, dy]))
    buffers = {name: value[1] for name, value in stack.buffers.items()}
    return _named(y[1], [g[1] for g in gradients], stack.parameters, buffers)


def _named(y, gradients, parameters, buffers):
    names = ("dx", *(f"d{name}" for name in parameters))
    found = {"y": y, **dict(zip(names, gradients, strict=True)), **buffers}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}
