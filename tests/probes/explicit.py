"""Explicit Hessians and Gauss–Newton matrices of small nets, by torch.func, for comparison."""

import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev
from torch.nn.functional import cross_entropy

X = torch.randn(24, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
Y = torch.arange(24) % 3


class WrittenOutBatchNorm(nn.Module):
    """Batch norm from elementary operations.

    `torch.func.hessian` of torch's own, forward over reverse, is asymmetric and off by a per cent (torch 2.13).
    """

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(6)), nn.Parameter(torch.zeros(6))

    def forward(self, x):
        centred = x - x.mean(dim=0)
        return self.weight * centred / (centred.square().mean(dim=0) + 1e-5).sqrt() + self.bias


def batch_norm():
    return nn.BatchNorm1d(6)


def net(norm=nn.Identity):
    """A net of 3 weight matrices."""
    torch.manual_seed(4)
    layers = [nn.Linear(5, 6), norm(), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)]
    return nn.Sequential(*layers).double()


def _vector(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _outputs(model):
    names = [name for name, _ in model.named_parameters()]
    like = list(model.parameters())

    def outputs(vector):
        pieces = torch.split(vector, [p.numel() for p in like])
        state = {name: piece.view_as(p) for name, piece, p in zip(names, pieces, like, strict=True)}
        return functional_call(model, state, (X,))

    return outputs


def explicit_hessian(model):
    outputs = _outputs(model)
    return hessian(lambda vector: cross_entropy(outputs(vector), Y))(_vector(model))


def explicit_gauss_newton(model):
    outputs, vector = _outputs(model), _vector(model)
    jacobian = jacrev(outputs)(vector).flatten(0, 1)
    z = outputs(vector)
    curvature = hessian(lambda flat: cross_entropy(flat.view_as(z), Y))(z.flatten())
    return jacobian.T @ curvature @ jacobian
