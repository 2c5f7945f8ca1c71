"""How far along the negative gradient a linear model of the loss can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ics_bench.probes.objective import Objective, Parameters, flat, loss_and_gradient, moved

TOLERANCE = 0.5
"""Error of the prediction, as a share of the true change, up to which it counts as right."""

RANGE = 2.0**20
"""Steps are looked for within this factor of the first guess, in either direction."""

BISECTIONS = 5
"""Bisections of the octave in which the prediction fails: 2^(1/32), or 2 %."""


@dataclass(frozen=True, slots=True)
class LinearStep:
    """The largest step along −g over which L(θ) − a‖g‖² predicts the loss.

    Parameters
    ----------
    step : float
        a: 0 where no step within the range is predicted, ``inf`` where all are, NaN without a gradient.
    predicted_decrease : float
        a‖g‖², the decrease predicted at that step: how much of the loss the linear model accounts for.
        Unlike ``step`` it does not change when weights that a norm makes irrelevant are rescaled.
    """

    step: float
    predicted_decrease: float


def linear_step(objective: Objective, at: Parameters, guess: float, tolerance: float = TOLERANCE) -> LinearStep:
    """Find the step size at which the first-order prediction leaves the true change by ``tolerance``.

    The prediction −a‖g‖² is right where ``|−a‖g‖² − ΔL| ≤ tolerance·|ΔL|``, ΔL = L(θ − a·g) − L(θ).
    Steps grow by octaves from one that is predicted to the first that is not, and that octave is
    bisected: a step beyond a gap is not looked for, nor a gap narrower than an octave. For a quadratic
    of curvature λ along g the answer is a = 2·t/(λ·(1 + t)) at tolerance t < 1, which is 2/(3λ) at 1/2.

    Parameters
    ----------
    objective : callable
        Should be evaluated in float64: the changes compared may be small against the loss.
    at : tuple of Tensor
        θ.
    guess : float
        A step size to begin at, such as the learning rate.
    tolerance : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        For a guess or tolerance out of range.
    """
    if not (guess > 0 and 0 < tolerance < 1):
        raise ValueError(f"guess={guess}, tolerance={tolerance}: expected a positive number and one between 0 and 1")
    start, gradient = loss_and_gradient(objective, at)
    slope = float(flat(gradient).square().sum())
    if not (math.isfinite(start) and 0 < slope < math.inf):
        return LinearStep(math.nan, math.nan)

    @torch.no_grad()
    def predicted(step: float) -> bool:
        change = float(objective(moved(at, gradient, -step))) - start
        return math.isfinite(change) and abs(-step * slope - change) <= tolerance * abs(change)

    step, wrong = guess, math.nan
    if predicted(step):
        while not math.isfinite(wrong):
            if step >= guess * RANGE:
                return LinearStep(math.inf, math.inf)
            step, wrong = (2 * step, wrong) if predicted(2 * step) else (step, 2 * step)
    else:
        while not predicted(step):
            if step <= guess / RANGE:
                return LinearStep(0.0, 0.0)
            step, wrong = step / 2, step
    for _ in range(BISECTIONS):
        middle = math.sqrt(step * wrong)
        step, wrong = (middle, wrong) if predicted(middle) else (step, middle)
    return LinearStep(step, step * slope)
