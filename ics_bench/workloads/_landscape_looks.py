"""What `landscape` reads off a loss surface at one point."""

from __future__ import annotations

import torch

from ics_bench.probes.landscape import FACTORS, landscape
from ics_bench.probes.linear_prediction import linear_step
from ics_bench.probes.objective import Parameters, loss_and_gradient
from ics_bench.probes.slope import slope_share
from ics_bench.workloads._descent import Values, View


def walk(view: View) -> Values:
    """Walk along the negative gradient."""
    surface, rate = view.surface, view.rate
    seen = landscape(surface, surface.at, [rate * factor for factor in FACTORS])
    linear = linear_step(surface, surface.at, rate)
    return {
        "loss_range": seen.loss_range,
        "gradient_difference": seen.gradient_difference,
        "relative_gradient_difference": seen.relative_gradient_difference,
        "gradient_cosine": seen.cosine,
        "beta": seen.beta,
        "lr_beta": rate * seen.beta,
        "linear_step": linear.step,
        "linear_decrease": linear.predicted_decrease,
    }


def walk_and_slopes(view: View) -> Values:
    """Walk along the negative gradient, and measure slopes along it, along the weights, and as the source page does."""
    surface, evaluated = view.surface, view.in_evaluation()
    _, gradient = loss_and_gradient(surface, surface.at)
    return walk(view) | {
        "gradient_slope": slope_share(surface, surface.at, gradient),
        "weight_slope": slope_share(surface, surface.at, inner_weights(surface.at)),
        "page_slope": slope_share(evaluated, evaluated.at, tuple(_unit(p) for p in evaluated.at)),
    }


def inner_weights(at: Parameters) -> Parameters:
    """Point along every weight matrix but the last, each of length one: those that a norm follows in a plain net.

    Raises
    ------
    ValueError
        If there are no two matrices.
    """
    places = [place for place, p in enumerate(at) if p.dim() >= 2]
    if len(places) < 2:
        raise ValueError("a net of one weight matrix has no inner weights")
    return tuple(_unit(p) if place in places[:-1] else torch.zeros_like(p) for place, p in enumerate(at))


def _unit(p: torch.Tensor) -> torch.Tensor:
    length = p.norm()
    return p / length if length > 0 else p
