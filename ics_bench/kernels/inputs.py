"""Fresh inputs for a kernel, plain and adversarial, quantized to the dtype under test."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from ics_bench.core import derive_seed
from ics_bench.kernels.provider import Tensors
from ics_bench.kernels.reference import Inputs
from ics_bench.kernels.spec import Problem, view

Kind = Literal["normal", "offset", "constant", "small"]
KINDS: tuple[Kind, ...] = ("normal", "offset", "constant", "small")

OFFSET = {"float32": 1024.0, "bfloat16": 32.0, "float16": 256.0}
"""A mean far above the unit deviation, where the dtype still resolves a quarter of that deviation."""

SMALL = 1e-3
"""A deviation whose square, 1e-6, is below eps = 1e-5: a kernel that forgets eps is off by a factor 3."""


def draw(problem: Problem, kind: Kind, seed: int, device: str = "cpu") -> Tensors:
    """Draw the inputs of one call: one problem's γ and β in a narrower dtype are another's, rounded.

    Parameters
    ----------
    problem : Problem
    kind : {"normal", "offset", "constant", "small"}
        Standard normal x, with a dy that correlates with it, so that every term of dx matters; x far from
        zero, with a dy that does not average out; x constant within each reduction set; x below √eps.
        The scale is about 1 in all, whether it is γ or 1 + γ. A residual leaves x + r what x is in each: its
        own numbers are standard normal, constant within each set, or below √eps.
    seed : int
        Everything is drawn from one generator seeded with it, the shape and the kind.
    device : str
        Where it is drawn, too: each kind of device has its own numbers.
    """
    generator = torch.Generator(device).manual_seed(derive_seed(seed, kind, problem.shape, problem.dtype))

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    def constant() -> torch.Tensor:
        seen = view(problem)
        per_set = [1 if axis in seen.reduced else size for axis, size in enumerate(seen.shape)]
        return (4.0 * normal(*per_set)).expand(seen.shape).reshape(problem.shape)

    x, dy = normal(*problem.shape), normal(*problem.shape)
    features = problem.num_features
    running_mean, running_var = normal(features), 0.5 + normal(features).square()
    if kind == "normal":
        dy = dy + x
    elif kind == "offset":
        x, dy, running_mean = x + OFFSET[problem.dtype], dy + 1.0, running_mean + OFFSET[problem.dtype]
    elif kind == "constant":
        x = constant()
    elif kind == "small":
        x, running_var = SMALL * x, SMALL**2 * running_var
    dtype, parameter_dtype = getattr(torch, problem.dtype), getattr(torch, problem.parameter_dtype)
    layout = memory_format(problem)
    tensors = Tensors(
        x.to(dtype).contiguous(memory_format=layout),
        dy.to(dtype).contiguous(memory_format=layout),
        (1.0 - problem.weight_offset + normal(features)).to(parameter_dtype),
        normal(features).to(parameter_dtype),
        running_mean,
        running_var,
    )
    if problem.residual:  # drawn last: the others are what they are without one
        residual = constant() if kind == "constant" else normal(*problem.shape)
        tensors.residual = (SMALL * residual if kind == "small" else residual).to(dtype).contiguous()
        tensors.ds = normal(*problem.shape).to(dtype)
    return tensors


def memory_format(problem: Problem) -> torch.memory_format:
    """Torch's name for the problem's layout."""
    if problem.layout == "contiguous":
        return torch.contiguous_format
    return torch.channels_last if len(problem.shape) == 4 else torch.channels_last_3d


def widen(tensor: torch.Tensor) -> np.ndarray:
    """Copy a tensor into float64 NumPy; exact for every dtype here."""
    return np.array(tensor.detach().to("cpu", torch.float64).numpy())


def exact_inputs(tensors: Tensors) -> Inputs:
    """Hand the quantized inputs to the oracle, copied, so that a kernel cannot change them afterwards."""
    return Inputs(
        widen(tensors.x),
        widen(tensors.dy),
        widen(tensors.weight),
        widen(tensors.bias),
        widen(tensors.running_mean),
        widen(tensors.running_var),
        None if tensors.residual is None else widen(tensors.residual),
        None if tensors.ds is None else widen(tensors.ds),
    )
