"""Norms of weights: what they make of a layer, and that every net built by name gets them."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ics_bench.core import UsageError
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.spec import Problem
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norm import OfWeights, check_norm, hidden_layers, load_norm
from ics_bench.training.modes import choose_mode
from ics_bench.workloads.init_scale import WORKLOAD as INIT_SCALE

OF_WEIGHTS = ("weight_norm", "weight_standardization", "spectral")


def build(norm, architecture="plain", depth=4, width=16, seed=0):
    return build_model(
        architecture,
        in_features=64,
        num_classes=10,
        depth=depth,
        width=width,
        norm_layer=load_norm(norm).build,
        initialize=he,
        generator=torch.Generator().manual_seed(seed),
    )


def layer(norm, kind="linear"):
    torch.manual_seed(0)
    made = nn.Linear(12, 8) if kind == "linear" else nn.Conv2d(3, 8, 2)
    made.double()
    initial = made.weight.detach().clone()
    load_norm(norm).build.reparametrize(made)
    return made, initial.flatten(1)


def rows(made):
    return made.weight.detach().flatten(1)


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_weight_norm_keeps_the_weights_and_parts_length_from_direction(kind):
    made, initial = layer("weight_norm", kind)
    torch.testing.assert_close(rows(made), initial)
    length, direction = made.parametrizations.weight.original0, made.parametrizations.weight.original1
    with torch.no_grad():
        length.fill_(3.0)
        direction.mul_(7.0)
    torch.testing.assert_close(rows(made).norm(dim=1), torch.full((8,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(rows(made), 3.0 * nn.functional.normalize(initial))


def test_weight_norms_gradient_is_orthogonal_to_the_direction():
    made, _ = layer("weight_norm")
    made(torch.ones(5, 12, dtype=torch.float64)).square().sum().backward()
    direction = made.parametrizations.weight.original1
    assert (direction.grad * direction).sum(1).abs().max() < 1e-10
    assert direction.grad.abs().max() > 1e-3


def test_weight_norm_of_a_layer_that_starts_at_zero_trains():
    made = nn.Linear(3, 2)
    nn.init.zeros_(made.weight)
    load_norm("weight_norm").build.reparametrize(made)
    y = made(torch.ones(1, 3))
    torch.testing.assert_close(y, made.bias[None])
    y.sum().backward()
    assert (made.parametrizations.weight.original0.grad != 0).all()


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_standardized_weights_have_no_mean_and_equal_variance(kind):
    made, initial = layer("weight_standardization", kind)
    with torch.no_grad():
        made.parametrizations.weight.original.mul_(10).add_(5)  # a scale and a mean that must not matter
    fan_in = initial.shape[1]
    assert rows(made).mean(1).abs().max() < 1e-12
    gain = 2 / (1 - 1 / math.pi)
    assert rows(made).var(1, unbiased=False).mul(fan_in).tolist() == pytest.approx([gain] * 8, rel=1e-4)
    direction = nn.functional.normalize(initial - initial.mean(1, keepdim=True))
    torch.testing.assert_close(nn.functional.normalize(rows(made)), direction)


def test_a_deep_standardized_relu_net_keeps_its_scale():
    net = build("weight_standardization", depth=12, width=256)
    for linear in hidden_layers(net):
        linear.bias.detach().zero_()
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        moments = [net.hidden[k].linear(net.hidden[:k](x)).square().mean() for k in (0, 10)]
    assert 0.7 < moments[1] / moments[0] < 1.4


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_spectral_norm_is_one_and_stays_so_in_training(kind):
    made, initial = layer("spectral", kind)
    largest = torch.linalg.matrix_norm(initial, 2)
    torch.testing.assert_close(rows(made.eval()), initial / largest, rtol=1e-3, atol=1e-3)
    made.train()
    with torch.no_grad():
        made.parametrizations.weight.original.mul_(9.0)
        for _ in range(100):
            weight = made.weight
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1.0, abs=1e-6)


def test_spectral_norm_leaves_its_vectors_alone_in_evaluation():
    made, _ = layer("spectral")
    made.eval()
    with torch.no_grad():
        made.parametrizations.weight.original.add_(torch.randn(8, 12, dtype=torch.float64))
    before = made.parametrizations.weight[0].right.clone()
    made.weight.sum().backward()
    assert torch.equal(made.parametrizations.weight[0].right, before)


@pytest.mark.parametrize("norm", OF_WEIGHTS)
@pytest.mark.parametrize(("architecture", "depth"), [("plain", 4), ("residual", 4), ("cnn", 4), ("transformer_pre", 6)])
def test_every_hidden_layer_is_reached_and_the_output_layer_is_not(norm, architecture, depth):
    net = build(norm, architecture, depth)
    plain = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert [is_parametrized(m, "weight") for m in plain] == [True] * (len(plain) - 1) + [False]
    assert len(plain) >= depth
    assert torch.equal(plain[-1].weight, [m for m in build("none", architecture, depth).modules()
                                          if isinstance(m, nn.Linear)][-1].weight)  # fmt: skip


@pytest.mark.parametrize("norm", OF_WEIGHTS)
def test_replicas_can_be_trained_together(norm):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 8, 64, generator=generator), torch.randint(10, (2, 8), generator=generator)
    mode, _ = choose_mode([build(norm, seed=0), build(norm, seed=1)], x, y)
    assert mode == "vmap"


def test_init_scale_sees_the_weights_as_they_act():
    """Spectral norm 1 shrinks He's ReLU layers: E[W²]·n/2 = 1 over σ², and σ ≈ 2√2 for a square Gaussian matrix."""
    case = INIT_SCALE.cases("quick", {"norm": ["spectral"], "init": ["he"], "activation": ["relu"], "depth": [10]})[0]
    rate = next(m.value for m in INIT_SCALE.measure(case, [0], "cpu") if m.metric == "forward_rate")
    assert rate == pytest.approx(1 / 8, rel=0.15)


def test_a_layer_parametrized_by_its_author_is_left_alone():
    def author(norm_layer):
        net = nn.Sequential(nn.Linear(4, 4), norm_layer(4), nn.Linear(4, 2))
        nn.utils.parametrizations.orthogonal(net[0])
        return net

    from ics_bench.subjects import ARCHITECTURES

    net = build_model(ARCHITECTURES.add(author), norm_layer=load_norm("spectral").build)
    assert len(net[0].parametrizations.weight) == 1


def test_a_weight_norm_of_ones_own_is_checked(monkeypatch):
    from ics_bench.subjects import NORMS

    def refuses(layer):
        raise ZeroDivisionError("not this one")

    with pytest.raises(UsageError, match="reparametrizing a linear layer raised ZeroDivisionError"):
        check_norm(NORMS.add(OfWeights(refuses)))


@pytest.mark.parametrize("norm", OF_WEIGHTS)
def test_there_is_no_kernel_to_time(norm):
    problem = Problem(norm, "forward", (4, 8), "float32", True, 1)
    assert "acts on weights" in load_provider("module").why_not(problem, "cpu")
