"""The loss of a model on one fixed batch, as a pure function of its trainable parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.random import fork_rng

from ics_bench.subjects.exchange import Exchange, State

Parameters = tuple[torch.Tensor, ...]
"""Trainable parameters in the model's order: a point of the loss surface, or a direction on it."""

Outputs = Callable[[Parameters], torch.Tensor]
"""Maps parameters to the model's outputs on a fixed input."""

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps outputs and targets to a scalar."""

Objective = Callable[[Parameters], torch.Tensor]
"""Maps parameters to a scalar loss: what the landscape probes look at."""


@dataclass(frozen=True)
class Surface:
    """A model's loss surface over one batch, and the point on it where the model stands.

    Parameters
    ----------
    outputs : callable
        Parameters to outputs ``(N, ...)``.
    loss : callable
        Outputs to a scalar.
    at : tuple of Tensor
        The model's trainable parameters, detached: shared with the model, and not to be written to.
    names : tuple of str
        Their names.
    """

    outputs: Outputs
    loss: Callable[[torch.Tensor], torch.Tensor]
    at: Parameters
    names: tuple[str, ...]

    def __call__(self, parameters: Parameters) -> torch.Tensor:
        """Loss at ``parameters``."""
        return self.loss(self.outputs(parameters))


def surface(model: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss = cross_entropy) -> Surface:
    """Make the loss surface of ``model`` on the batch ``x, y``, in the mode that the model is in.

    Every evaluation starts from the buffers that the model has now and draws the same random numbers,
    so that a net with running statistics or dropout has one surface too. Model, buffers, modes and
    random state are afterwards as they were. The batch is referred to, not copied.

    Parameters
    ----------
    model : nn.Module
        Maps ``(N, *features)`` to what ``loss`` takes.
    x, y : Tensor
    loss : callable
        ``loss(outputs, y)``; cross-entropy by default.

    Raises
    ------
    ValueError
        If the model has no trainable parameter.
    """
    trainable = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("the model has no trainable parameter, so its loss is no surface")
    here = _Standing.of(model, x)

    def outputs(parameters: Parameters) -> torch.Tensor:
        if len(parameters) != len(trainable):
            raise ValueError(f"{len(parameters)} parameters for a model of {len(trainable)}")
        return here.outputs(model, dict(zip(trainable, parameters, strict=True)), x)

    return Surface(
        outputs,
        lambda found: loss(found, y),
        tuple(trainable.values()),
        tuple(trainable),
    )


@dataclass(frozen=True)
class _Standing:
    """Where a model stands, and how to call it with other parameters from there: `preserved`, having looked once.

    Parameters
    ----------
    exchange : Exchange
    buffers : dict of str to Tensor
        Copies.
    modes : list of (Module, bool)
    random_state : Tensor
    device_state : Tensor, optional
        Of the inputs' device.
    """

    exchange: Exchange
    buffers: State
    modes: list[tuple[nn.Module, bool]]
    random_state: torch.Tensor
    device_state: torch.Tensor | None

    @classmethod
    def of(cls, model: nn.Module, x: torch.Tensor) -> _Standing:
        return cls(
            Exchange(model),
            {name: buffer.detach().clone() for name, buffer in model.named_buffers()},
            [(m, m.training) for m in model.modules()],
            torch.get_rng_state(),
            torch.cuda.get_rng_state(x.device) if x.is_cuda else None,
        )

    def outputs(self, model: nn.Module, parameters: State, x: torch.Tensor) -> torch.Tensor:
        """Call the model from here with these parameters, and leave no trace."""
        buffers = {name: buffer.clone() for name, buffer in self.buffers.items()}
        modes = [(m, m.training) for m, _ in self.modes]
        with (
            fork_rng(devices=[x.device] if self.device_state is not None else []),
            self.exchange.holding({**parameters, **buffers}),
        ):
            torch.set_rng_state(self.random_state)
            if self.device_state is not None:
                torch.cuda.set_rng_state(self.device_state, x.device)
            try:
                _set_modes(self.modes)
                found: torch.Tensor = model(x)
            finally:
                _set_modes(modes)
        return found


def _set_modes(modes: Sequence[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        if module.training != training:
            module.training = training


def loss_and_gradient(objective: Objective, at: Parameters) -> tuple[float, Parameters]:
    """Loss and its gradient at a point; a parameter that takes no part has a gradient of zero."""
    with torch.enable_grad():
        leaves = leaves_of(at)
        value = objective(leaves)
        gradient = gradient_of(value, leaves)
    return float(value.detach()), gradient


def gradient_of(value: torch.Tensor, leaves: Parameters, create_graph: bool = False) -> Parameters:
    """Gradient of a scalar, with zeros for leaves that it does not depend on."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    found = torch.autograd.grad(value, leaves, create_graph=create_graph, allow_unused=True)
    return tuple(torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True))


def leaves_of(at: Parameters) -> Parameters:
    """Detached copies by reference that gradients can be taken at."""
    return tuple(p.detach().requires_grad_(True) for p in at)


def flat(parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """All entries in one float64 vector."""
    return torch.cat([p.detach().reshape(-1).to(torch.float64) for p in parameters])


def unflat(vector: torch.Tensor, like: Parameters) -> Parameters:
    """Cut a vector into tensors of the shapes and dtypes of ``like``."""
    pieces = torch.split(vector, [p.numel() for p in like])
    return tuple(piece.to(p.dtype).view_as(p) for piece, p in zip(pieces, like, strict=True))


def moved(at: Parameters, direction: Parameters, step: float) -> Parameters:
    """Go from ``at`` to ``at + step·direction``."""
    return tuple(p + step * d for p, d in zip(at, direction, strict=True))
