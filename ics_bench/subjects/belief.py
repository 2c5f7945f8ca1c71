"""Restricted Boltzmann machines, and sigmoid nets that a stack of them starts (Hinton et al. 2006)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import linear, softplus

from ics_bench.subjects.mlp import MLP, Hidden

Visible = Literal["binary", "gaussian"]


class BoltzmannMachine(nn.Module):
    """Binary hidden units over binary visible ones, or over real ones with unit variance.

    The output for a sample v is F(v) − F(v'), where v' is v after one Gibbs step, held fixed. Its mean over
    a batch has the gradient by which one-step contrastive divergence (CD-1) learns, with hidden
    probabilities in both terms (Hinton 2002, eq. 5; 2010, A Practical Guide, section 3): for the weights
    ⟨p(h|v') v'ᵀ⟩ − ⟨p(h|v) vᵀ⟩. Hidden states are sampled, reconstructions are means.

    Parameters
    ----------
    visible, hidden : int
    kind : {"binary", "gaussian"}
        What the visible units are.
    """

    def __init__(self, visible: int, hidden: int, kind: Visible) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden, visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.kind = kind

    def free_energy(self, v: torch.Tensor) -> torch.Tensor:
        """−log Σ_h exp(−E(v, h)) of samples ``(N, visible)``: ``(N,)``."""
        hidden = softplus(linear(v, self.weight, self.hidden_bias)).sum(dim=-1)
        if self.kind == "gaussian":
            return 0.5 * (v - self.visible_bias).square().sum(dim=-1) - hidden
        return -(v * self.visible_bias).sum(dim=-1) - hidden

    @torch.no_grad()
    def reconstruct(self, v: torch.Tensor) -> torch.Tensor:
        """Sample h given v and return the mean of v given h, ``(N, visible)``."""
        h = torch.bernoulli(torch.sigmoid(linear(v, self.weight, self.hidden_bias)))
        drive = linear(h, self.weight.t(), self.visible_bias)
        return drive if self.kind == "gaussian" else torch.sigmoid(drive)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """Map ``(N, visible)`` to free-energy differences ``(N,)``."""
        return self.free_energy(v) - self.free_energy(self.reconstruct(v))


class GreedyStep(nn.Module):
    """A machine on top of hidden layers that are trained already and stay as they are.

    Parameters
    ----------
    below : sequence of Hidden
        The net's layers up to the one that the machine starts; copied and frozen.
    machine : BoltzmannMachine
    """

    def __init__(self, below: Sequence[nn.Module], machine: BoltzmannMachine) -> None:
        super().__init__()
        self.below = nn.Sequential(*copy.deepcopy(list(below))).requires_grad_(False)
        self.machine = machine

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_features)`` to free-energy differences ``(N,)``."""
        y: torch.Tensor = self.machine(self.below(x))
        return y


class BeliefNet(MLP):
    """A sigmoid perceptron whose hidden layers can each be a Boltzmann machine's upward pass."""

    def machine(self, place: int) -> BoltzmannMachine:
        """Make the machine for a hidden layer, counted from 0, from that layer's weights; real input for the first."""
        layer = self._layer(place)
        kind: Visible = "binary" if place else "gaussian"
        machine = BoltzmannMachine(layer.linear.in_features, layer.linear.out_features, kind)
        with torch.no_grad():
            machine.weight.copy_(layer.linear.weight)
            machine.hidden_bias.copy_(layer.linear.bias)
        return machine

    @torch.no_grad()
    def start_layer(self, place: int, machine: BoltzmannMachine) -> None:
        """Give a hidden layer a trained machine's weights and hidden biases."""
        layer = self._layer(place)
        layer.linear.weight.copy_(machine.weight)
        layer.linear.bias.copy_(machine.hidden_bias)

    def _layer(self, place: int) -> Hidden:
        layer = self.hidden[place]
        assert isinstance(layer, Hidden)
        return layer
