"""Matrix-vector products against matrices written out."""

import pytest
import torch
from explicit import WrittenOutBatchNorm, X, Y, batch_norm, explicit_gauss_newton, explicit_hessian, net
from torch import nn

from ics_bench.probes.objective import flat, surface, unflat
from ics_bench.probes.products import gauss_newton_product, hessian_product

NORMS = {"none": (nn.Identity, nn.Identity), "batch": (batch_norm, WrittenOutBatchNorm)}


@pytest.mark.parametrize("norm", NORMS)
def test_products_equal_those_with_the_matrices_written_out(norm):
    model, written_out = (net(layer) for layer in NORMS[norm])
    s = surface(model, X, Y)
    vectors = torch.randn(3, flat(s.at).numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for product, matrix in (
        (hessian_product(s, s.at), explicit_hessian(written_out)),
        (gauss_newton_product(s.outputs, s.loss, s.at), explicit_gauss_newton(written_out)),
    ):
        for vector in vectors:
            assert torch.allclose(flat(product(unflat(vector, s.at))), matrix @ vector, atol=1e-12)


@pytest.mark.parametrize(
    "make", [lambda s: hessian_product(s, s.at), lambda s: gauss_newton_product(s.outputs, s.loss, s.at)]
)
def test_a_direction_may_leave_out_what_is_zero(make):
    s = surface(net(batch_norm), X, Y)
    product = make(s)
    for place in range(len(s.at)):
        ones = torch.ones_like(s.at[place])
        written_out = product([ones if i == place else torch.zeros_like(p) for i, p in enumerate(s.at)])
        left_out = product([ones if i == place else None for i in range(len(s.at))])
        assert all(torch.equal(*both) for both in zip(written_out, left_out, strict=True))
    assert not any(image.any() for image in product([None] * len(s.at)))


def test_hessian_and_gauss_newton_agree_for_a_linear_model_and_no_other():
    linear = nn.Linear(5, 3).double()
    for model, same in ((linear, True), (net(), False)):
        s = surface(model, X, Y)
        v = tuple(torch.ones_like(p) for p in s.at)
        one = flat(hessian_product(s, s.at)(v))
        assert torch.allclose(one, flat(gauss_newton_product(s.outputs, s.loss, s.at)(v))) == same


def test_linear_regression_has_the_second_moments_of_its_inputs_as_hessian():
    model = nn.Linear(5, 1, bias=False).double()
    s = surface(model, X, torch.zeros(24, 1).double(), lambda z, y: 0.5 * (z - y).square().mean())
    v = torch.arange(5.0).double().view(1, 5)
    (found,) = hessian_product(s, s.at)((v,))
    assert torch.allclose(found, v @ (X.T @ X) / 24)


def test_a_flat_loss_has_the_product_zero():
    product = hessian_product(lambda theta: 3 * theta[0].sum(), (torch.ones(4),))
    assert torch.equal(product((torch.ones(4),))[0], torch.zeros(4))
