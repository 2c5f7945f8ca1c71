"""How steep the loss is along a direction, by walking it, against the steepest there is."""

from __future__ import annotations

import math

import torch

from ics_bench.probes.objective import Objective, Parameters, flat, loss_and_gradient, moved


def slope_share(objective: Objective, at: Parameters, direction: Parameters, relative_step: float = 1e-6) -> float:
    """|dL/dt| along the unit direction, divided by ‖∇L‖: 1 along the gradient, 0 along a level line.

    The slope is the symmetric difference quotient of the losses at θ ± t·d/‖d‖ with t =
    ``relative_step``·‖θ‖, as code that only walks and looks at losses sees it.

    Parameters
    ----------
    objective : callable
        In float64: in float32 the difference of the two losses is rounding noise at this step.
    at : tuple of Tensor
        θ.
    direction : tuple of Tensor
        d, of any length but zero.
    relative_step : float
        Small enough that the kinks of ReLU nets do not show.

    Returns
    -------
    float
        NaN where gradient or direction is zero or not finite.
    """
    _, gradient = loss_and_gradient(objective, at)
    steepest, length = float(flat(gradient).norm()), float(flat(direction).norm())
    if not (0 < steepest < math.inf and 0 < length < math.inf):
        return math.nan
    step = relative_step * (float(flat(at).norm()) or 1.0)
    with torch.no_grad():
        ahead, behind = (float(objective(moved(at, direction, sign * step / length))) for sign in (1, -1))
    return abs(ahead - behind) / (2 * step) / steepest
