"""A kernel that is correct, for tests to plant bugs in: the oracle, rounded."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ics_bench.kernels.inputs import exact_inputs
from ics_bench.kernels.provider import Chains, Kernel, Provider, Tensors
from ics_bench.kernels.reference import Inputs, evaluate
from ics_bench.kernels.spec import OPTIONS, Problem

SHAPES = {"layer": (16, 96), "rms": (16, 96), "group": (4, 16, 6, 6), "instance": (4, 16, 6, 6), "batch": (4, 16, 6, 6)}
Results = dict[str, np.ndarray]


class Rounded(Provider):
    """The oracle rounded to the dtype: correct, unless a bug is planted in its problem, inputs or results."""

    summary = "the oracle, rounded"
    options = frozenset(OPTIONS)

    def __init__(self, plant: Callable[[Problem, Results, Results], None] | None = None, **changes: float) -> None:
        self.plant, self.changes = plant, changes

    def chains(self, problem: Problem, device: str) -> Chains:
        return Chains(16, 16, 16)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        outputs: list[torch.Tensor] = []

        def kernel() -> tuple[torch.Tensor, ...]:
            inputs = exact_inputs(tensors)
            results = evaluate(replace(problem, **self.changes), inputs)
            if self.plant is not None:
                self.plant(problem, results, {"x": inputs.x, "dy": inputs.dy, "g": times_weight(inputs)})
            new = {n: torch.tensor(results[n]).to(_dtype(problem, n)) for n in problem.outputs if n in results}
            for name in ("running_mean", "running_var"):
                if name in new:
                    new[name] = getattr(tensors, name).copy_(new[name])
            outputs[:] = new.values()
            return tuple(outputs)

        return kernel


def times_weight(inputs: Inputs) -> np.ndarray:
    return inputs.dy * inputs.weight.reshape(1, -1, *[1] * (inputs.dy.ndim - 2))


def _dtype(problem: Problem, name: str) -> torch.dtype:
    return getattr(torch, problem.dtype_of(name))


def problem_of(norm: str, direction: str, dtype: str = "float32") -> Problem:
    return Problem(norm, direction, SHAPES[norm], dtype, groups=2 if norm == "group" else 1)
