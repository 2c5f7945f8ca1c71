"""How loss and gradient vary along one step of gradient descent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ics_bench.probes.objective import Objective, Parameters, flat, loss_and_gradient, moved

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Step sizes in learning rates: octaves over [1/8, 4]."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Loss and gradient g' at θ − a·g, against loss and gradient g at θ, for several step sizes a.

    A step that leaves the range of numbers has infinite loss and differences. Where g is zero nothing
    is learned about the landscape, and relative quantities are NaN.

    Parameters
    ----------
    step_sizes : tuple of float
    loss : float
        At θ.
    gradient_norm : float
        ‖g‖.
    losses : tuple of float
        At each θ − a·g.
    differences : tuple of float
        ‖g' − g‖₂, the gradient predictiveness of Santurkar et al. 2018, section 3.2.
    cosines : tuple of float
        cos(g', g); 0 where g' is zero or not finite.
    """

    step_sizes: tuple[float, ...]
    loss: float
    gradient_norm: float
    losses: tuple[float, ...]
    differences: tuple[float, ...]
    cosines: tuple[float, ...]

    @property
    def loss_range(self) -> float:
        """Largest minus smallest loss over the steps (Santurkar et al. 2018, figure 4a)."""
        return max(self.losses) - min(self.losses)

    @property
    def gradient_difference(self) -> float:
        """Largest ‖g' − g‖₂."""
        return max(self.differences)

    @property
    def relative_gradient_difference(self) -> float:
        """Largest ‖g' − g‖₂/‖g‖."""
        return self.gradient_difference / self.gradient_norm if self.gradient_norm else math.nan

    @property
    def cosine(self) -> float:
        """Smallest cos(g', g)."""
        return min(self.cosines) if self.gradient_norm else math.nan

    @property
    def beta(self) -> float:
        """Largest ‖g' − g‖/(a‖g‖): the effective smoothness of Santurkar et al. 2018, figure 4c."""
        if not self.gradient_norm:
            return math.nan
        return max(d / (a * self.gradient_norm) for a, d in zip(self.step_sizes, self.differences, strict=True))


def landscape(objective: Objective, at: Parameters, step_sizes: Sequence[float]) -> Landscape:
    """Walk from ``at`` along the negative gradient, always starting anew.

    Parameters
    ----------
    objective : callable
        Parameters to a scalar loss; see `ics_bench.probes.objective.surface`.
    at : tuple of Tensor
        θ.
    step_sizes : sequence of float
        Positive; the point reached is θ − a·g, the direction not normalized.

    Raises
    ------
    ValueError
        If there are no step sizes, or one is not positive.
    """
    if not step_sizes or not min(step_sizes) > 0:
        raise ValueError(f"step_sizes={tuple(step_sizes)}: expected one or more positive numbers")
    loss, gradient = loss_and_gradient(objective, at)
    g = flat(gradient)
    norm = float(g.norm())
    losses, differences, cosines = [], [], []
    for a in step_sizes:
        there, gradient_there = loss_and_gradient(objective, moved(at, gradient, -a))
        h = flat(gradient_there)
        difference, scale = float((h - g).norm()), float(h.norm()) * norm
        fine = math.isfinite(there) and math.isfinite(difference)
        losses.append(there if fine else math.inf)
        differences.append(difference if fine else math.inf)
        cosines.append(float(g @ h) / scale if fine and scale > 0 else 0.0)
    return Landscape(tuple(step_sizes), loss, norm, tuple(losses), tuple(differences), tuple(cosines))
