"""Weight standardization, scaled so that it can stand alone."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from ics_bench.subjects.initializers import fans
from ics_bench.subjects.norm import Norm, OfWeights

EPS = 1e-4
"""Added to the variance, in units of the initial weights' own, fan_in·Var[W] ~ 1 (Brock et al. 2021)."""

RELU_GAIN = math.sqrt(2.0 / (1.0 - 1.0 / math.pi))
"""Makes up for the variance that ReLU leaves of a standard normal, (1 − 1/π)/2 (Brock et al. 2021)."""


class WeightStandardization(nn.Module):
    """W = g·(v − mean)/√(fan_in·Var[v] + ε), moments over the weights into each output.

    Qiao et al. 2019 standardize to unit variance and leave the scale to the norm that follows. With none
    to follow, the scale is 1/√fan_in times a trained gain g for each output, as in Brock et al. 2021.

    Parameters
    ----------
    weight : Tensor ``(out, in, *)``
        Read for its shape and dtype.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.fan_in, _ = fans(weight)
        self.gain = nn.Parameter(weight.new_full((len(weight), *[1] * (weight.dim() - 1)), RELU_GAIN))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Standardize ``(out, in, *)`` by output."""
        dims = tuple(range(1, weight.dim()))
        centred = weight - weight.mean(dims, keepdim=True)
        variance = centred.square().mean(dims, keepdim=True)
        return centred * (self.gain * (self.fan_in * variance + EPS).rsqrt())


def reparametrize(layer: nn.Module) -> None:
    """Standardize a layer's weights from now on: their initial mean and scale are lost."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    register_parametrization(layer, "weight", WeightStandardization(weight.detach()))


NORM = Norm(
    OfWeights(reparametrize),
    summary="weights of zero mean and equal variance, for each output; no layer",
    source="Qiao et al. 2019, arXiv:1903.10520; scale of Brock et al. 2021, arXiv:2101.08692",
)
