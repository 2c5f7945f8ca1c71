"""Replicas of a module stacked along a leading axis: their losses, gradients and wrong answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn
from torch.func import stack_module_state, vmap

from ics_bench.subjects.exchange import Exchange, State
from ics_bench.subjects.randomness import RandomState
from ics_bench.training.lifted import lift
from ics_bench.training.losses import CROSS_ENTROPY, Loss
from ics_bench.training.mould import Mould

Mode = Literal["lifted", "vmap", "looped"]


class Stack:
    """Modules of one architecture, run together.

    Parameters
    ----------
    modules : sequence of nn.Module
        One module a replica; not changed.
    seeds : sequence of int
        Seed of each replica's random state; used when looped.
    device : torch.device
    mode : {"lifted", "vmap", "looped"}
        *lifted*: one pass of a copy whose layers take a replica axis. *vmap*: one pass of
        `torch.func.vmap`. *looped*: each replica is run by its own copy of the module, with its own
        random state, as modules need that branch on values, draw random numbers or keep state in
        attributes. See `ics_bench.training.modes.choose_mode`.
    loss : Loss

    Raises
    ------
    ValueError
        If ``mode`` is lifted and a layer has no lifted form.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        seeds: Sequence[int],
        device: torch.device,
        mode: Mode = "vmap",
        loss: Loss = CROSS_ENTROPY,
    ) -> None:
        parameters, buffers = stack_module_state(list(modules))
        self.frozen = {name for name, parameter in modules[0].named_parameters() if not parameter.requires_grad}
        self.parameters: State = self._leaves({k: v.to(device) for k, v in parameters.items()})
        self.buffers: State = {k: v.detach().to(device) for k, v in buffers.items()}
        self.mode, self.loss = mode, loss
        self._originals = list(modules)
        self._moulds: list[Mould | None] = [None] * len(self._originals)
        if mode == "looped":
            self.modules = [copy.deepcopy(module).to(device) for module in modules]
            self.random_states = [RandomState(seed, device) for seed in seeds]
        else:
            together = lift(modules[0]) if mode == "lifted" else copy.deepcopy(modules[0])
            if together is None:
                raise ValueError("a layer has no lifted form; use mode 'vmap'")
            self.modules = [together.to(device)]
        for module in self.modules:
            module.train()  # whatever mode its parts are in
        self._exchanges = [Exchange(module) for module in self.modules]

    def _leaves(self, parameters: State) -> State:
        return {name: value.detach().requires_grad_(name not in self.frozen) for name, value in parameters.items()}

    @property
    def trainable(self) -> list[torch.Tensor]:
        """Parameters ``(R, *shape)`` that are trained: all but those frozen by ``requires_grad=False``."""
        return [value for name, value in self.parameters.items() if name not in self.frozen]

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def losses_and_gradients(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Loss of each replica on its own batch, and the gradients.

        Parameters
        ----------
        x, y : Tensor ``(R, B, *features)``, ``(R, B, ...)``

        Returns
        -------
        losses : Tensor ``(R,)``
        gradients : list of Tensor ``(R, *shape)``
            In the order of `trainable`.
        """
        losses = self.loss.mean(self.outputs(x, training=True), y)
        if not losses.requires_grad:  # nothing that is trained takes part
            return losses, [torch.zeros_like(parameter) for parameter in self.trainable]
        found = torch.autograd.grad(losses.sum(), self.trainable, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(self.trainable, found, strict=True)]
        return losses.detach(), gradients

    def outputs(self, x: torch.Tensor, training: bool) -> torch.Tensor:
        """Run each replica on its own batch ``(R, B, *features)``; in training, buffers are updated.

        Returns
        -------
        Tensor ``(R, B, ...)``
        """
        return self._forward(self.parameters, self.buffers, x, training)

    @torch.no_grad()
    def errors(
        self, which: torch.Tensor, x: torch.Tensor, y: torch.Tensor, allowed: int, block: int = 384
    ) -> torch.Tensor:
        """Count wrong answers in evaluation mode, giving up on a replica once it has more than ``allowed``.

        Parameters
        ----------
        which : Tensor ``(K,)``
            Replicas to evaluate.
        x, y : Tensor ``(N, *features)``, ``(N, ...)``
        allowed : int
            A replica with more errors than this needs no exact count; its partial one is returned.
        block : int
            Samples between decisions to give up.

        Returns
        -------
        Tensor ``(K,)`` of int64
        """
        wrong = torch.zeros(len(which), dtype=torch.int64, device=x.device)
        alive = torch.arange(len(which), device=x.device)
        selected, state = which, self._select(which)
        for start in range(0, len(x), block):
            inputs, targets = (_repeat(data[start : start + block], len(alive)) for data in (x, y))
            outputs = self._forward(*state, inputs, training=False, which=selected)
            wrong[alive] += self.loss.wrong(outputs, targets)
            hopeful = wrong[alive] <= allowed
            if not bool(hopeful.all()):
                alive = alive[hopeful]
                if not len(alive):
                    break
                selected = which[alive]
                state = self._select(selected)
        return wrong

    @torch.no_grad()
    def mean_losses(self, which: torch.Tensor, x: torch.Tensor, y: torch.Tensor, block: int = 384) -> torch.Tensor:
        """Loss in evaluation mode over all of the data.

        Parameters
        ----------
        which : Tensor ``(K,)``
            Replicas to evaluate.
        x, y : Tensor ``(N, *features)``, ``(N, ...)``
        block : int
            Samples at a time.

        Returns
        -------
        Tensor ``(K,)`` of float64
        """
        state = self._select(which)
        total = torch.zeros(len(which), dtype=torch.float64, device=x.device)
        for start in range(0, len(x), block):
            inputs, targets = (_repeat(data[start : start + block], len(which)) for data in (x, y))
            outputs = self._forward(*state, inputs, training=False, which=which)
            total += self.loss.terms(outputs, targets).flatten(1).sum(dim=1)
        return total / self.loss.count(y)

    def copy_of(self, place: int) -> nn.Module:
        """Copy one replica as an ordinary module of its own class, with its present parameters and buffers."""
        state = {name: value[place] for name, value in (self.parameters | self.buffers).items()}
        if self.mode == "looped":  # its attributes change as it runs
            module = copy.deepcopy(self.modules[place])
            Exchange(module).fill(state)
        else:
            mould = self._moulds[place] = self._moulds[place] or Mould(self._originals[place])
            module = mould.cast(state)
        return module.train()

    def keep(self, index: torch.Tensor) -> None:
        """Go on with the replicas in ``index`` alone."""
        parameters, self.buffers = self._select(index)
        self.parameters = self._leaves(parameters)
        self._originals = [self._originals[i] for i in index.tolist()]
        self._moulds = [self._moulds[i] for i in index.tolist()]
        if self.mode == "looped":
            self.modules = [self.modules[i] for i in index.tolist()]
            self._exchanges = [self._exchanges[i] for i in index.tolist()]
            self.random_states = [self.random_states[i] for i in index.tolist()]

    def _select(self, index: torch.Tensor) -> tuple[State, State]:
        if len(index) == len(self):
            return self.parameters, self.buffers
        with torch.no_grad():
            return (
                {k: v[index] for k, v in self.parameters.items()},
                {k: v[index] for k, v in self.buffers.items()},
            )

    def _forward(
        self, parameters: State, buffers: State, x: torch.Tensor, training: bool, which: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute outputs ``(R, B, ...)``; in training, buffers are updated, whether in place or replaced."""
        if self.mode == "looped":
            places = range(len(self)) if which is None else which.tolist()
            states = zip(places, _unstack(parameters, len(x)), _unstack(buffers, len(x)), x, strict=True)
            results = [self._forward_one(*state, training) for state in states]
            outputs = torch.stack([result[0] for result in results])
            updated = {k: torch.stack([result[1][k] for result in results]) for k in buffers}
        else:
            call = self._pure(0, training)
            outputs, updated = (call if self.mode == "lifted" else vmap(call))(parameters, buffers, x)
        if training:
            self.buffers = {k: v.detach() for k, v in updated.items()}
        return outputs

    def _forward_one(
        self, place: int, parameters: State, buffers: State, x: torch.Tensor, training: bool
    ) -> tuple[torch.Tensor, State]:
        with self.random_states[place].lent(keep=training):
            buffers = {k: v.clone() for k, v in buffers.items()}
            return self._pure(place, training)(parameters, buffers, x)

    def _pure(self, place: int, training: bool) -> Callable[[State, State, torch.Tensor], tuple[torch.Tensor, State]]:
        """Make a pure function of a module; the state dictionary also catches buffers that are replaced."""
        module, exchange = self.modules[place], self._exchanges[place]
        if module.training != training:
            module.train(training)

        def call(parameters: State, buffers: State, x: torch.Tensor) -> tuple[torch.Tensor, State]:
            state = {**parameters, **buffers}
            with exchange.holding(state):
                outputs = module(x)
            return outputs, {name: state[name] for name in buffers}

        return call


def _repeat(data: torch.Tensor, times: int) -> torch.Tensor:
    return data.expand(times, *data.shape)


def _unstack(state: State, replicas: int) -> list[State]:
    """Split into one state a replica, at once: the backward of a slice would fill a whole stack with zeros."""
    parts = {name: value.unbind() for name, value in state.items()}
    return [{name: values[place] for name, values in parts.items()} for place in range(replicas)]
