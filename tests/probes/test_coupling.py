"""Curvature between layers against matrices written out and a linear net's closed form."""

import math

import pytest
import torch
from explicit import WrittenOutBatchNorm, X, Y, batch_norm, explicit_gauss_newton, explicit_hessian, net
from torch import nn

from ics_bench.probes.coupling import coupling, exact_coupling, weight_blocks
from ics_bench.probes.objective import surface
from ics_bench.probes.products import gauss_newton_product, hessian_product


def squares_of(matrix, at, blocks):
    """Squared Frobenius norms of blocks, read off the matrix."""
    ends = torch.tensor([0, *[p.numel() for p in at]]).cumsum(0)
    index = [torch.cat([torch.arange(ends[place], ends[place + 1]) for place in block]) for block in blocks]
    return torch.tensor([[float(matrix[r][:, c].square().sum()) for c in index] for r in index], dtype=torch.float64)


def products(norm=nn.Identity, written_out=nn.Identity):
    model, same = net(norm), net(written_out)
    s = surface(model, X, Y)
    return s, {
        "hessian": (hessian_product(s, s.at), explicit_hessian(same)),
        "gauss-newton": (gauss_newton_product(s.outputs, s.loss, s.at), explicit_gauss_newton(same)),
    }


@pytest.mark.parametrize("which", ["hessian", "gauss-newton"])
def test_exact_and_estimated_squares_are_those_of_the_matrix(which):
    s, by_name = products(batch_norm, WrittenOutBatchNorm)
    product, matrix = by_name[which]
    blocks = weight_blocks(s.at)
    expected = squares_of(matrix, s.at, blocks)
    assert torch.allclose(exact_coupling(product, s.at, blocks).squares, expected)
    estimate = coupling(product, s.at, blocks, torch.Generator().manual_seed(0), probes=400)
    assert torch.allclose(estimate.squares, expected, rtol=0.25)
    off = float(expected.sum() - expected.diagonal().sum())
    assert estimate.share == pytest.approx(off / float(expected.sum()), abs=0.03)


def test_blocks_of_several_parameters_are_one_layer():
    s, by_name = products()
    product, matrix = by_name["hessian"]
    blocks = ((0, 1), (2, 3), (4, 5))
    assert torch.allclose(exact_coupling(product, s.at, blocks).squares, squares_of(matrix, s.at, blocks))


def test_a_two_layer_linear_net_of_one_weight_each():
    """½E[(a·b·x − y)²] with E[x²] = 1, E[xy] = c: Hessian [[b², 2ab − c], [2ab − c, a²]]."""
    a, b, c = 1.5, -0.4, 0.7
    x = torch.tensor([1.0, -1.0]).double()
    at = (torch.tensor([[a]]).double(), torch.tensor([[b]]).double())
    found = exact_coupling(
        hessian_product(lambda w: 0.5 * (w[0] * w[1] * x - c * x).square().mean(), at), at, ((0,), (1,))
    )
    off = (2 * a * b - c) ** 2
    assert torch.allclose(found.squares, torch.tensor([[b**4, off], [off, a**4]]).double())
    assert found.share == pytest.approx(2 * off / (2 * off + a**4 + b**4))
    assert found.correlation == pytest.approx(abs(2 * a * b - c) / abs(a * b))


def test_layers_that_do_not_meet_are_not_coupled():
    at = (torch.randn(3, 3).double(), torch.randn(2, 2).double())
    product = hessian_product(lambda w: w[0].square().sum() + w[1].pow(4).sum(), at)
    found = coupling(product, at, weight_blocks(at), torch.Generator().manual_seed(0), probes=1)
    assert found.share == 0.0
    assert found.correlation == 0.0


def test_rescaling_a_layer_changes_the_share_and_not_the_correlation():
    def objective(scale):
        return lambda w: ((w[0] * scale) @ w[1] - 1).square().sum() + (w[0] * scale).pow(4).sum() + w[1].pow(4).sum()

    first, second = torch.randn(1, 4).double(), torch.randn(4, 1).double()
    plain, scaled = (
        exact_coupling(hessian_product(objective(scale), at := (first / scale, second)), at, ((0,), (1,)))
        for scale in (1.0, 10.0)
    )
    assert abs(plain.share - scaled.share) > 0.01
    assert plain.correlation == pytest.approx(scaled.correlation)


def test_gauss_newton_correlations_are_at_most_one():
    s, by_name = products()
    assert exact_coupling(by_name["gauss-newton"][0], s.at, weight_blocks(s.at)).correlation <= 1.0


def test_blocks_are_the_weight_matrices():
    model = net(batch_norm)
    assert weight_blocks(tuple(model.parameters())) == ((0,), (4,), (6,))


def test_a_weight_norms_gains_are_no_matrix():
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 4))
    parameters = dict(layer.named_parameters())
    (block,) = weight_blocks(tuple(parameters.values()))
    assert [list(parameters)[place] for place in block] == ["parametrizations.weight.original1"]


def test_a_flat_surface_has_no_share():
    at = (torch.ones(2, 2), torch.ones(2, 2))
    found = exact_coupling(hessian_product(lambda w: w[0].sum() + w[1].sum(), at), at, weight_blocks(at))
    assert math.isnan(found.share)
    assert math.isnan(found.correlation)
