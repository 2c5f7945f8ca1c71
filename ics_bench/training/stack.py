"""Replicas of a module stacked along a leading axis: their losses, gradients and correct answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from ics_bench.training.lifted import lift

State = dict[str, torch.Tensor]

AGREEMENT = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Relative difference between replicas run together and alone beyond which the former is not trusted.

Far above rounding, far below what a wrong statistic does."""

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
        attributes. See `choose_mode`.

    Raises
    ------
    ValueError
        If ``mode`` is lifted and a layer has no lifted form.
    """

    def __init__(
        self, modules: Sequence[nn.Module], seeds: Sequence[int], device: torch.device, mode: Mode = "vmap"
    ) -> None:
        parameters, buffers = stack_module_state(list(modules))
        self.frozen = {name for name, parameter in modules[0].named_parameters() if not parameter.requires_grad}
        self.parameters: State = self._leaves({k: v.to(device) for k, v in parameters.items()})
        self.buffers: State = {k: v.detach().to(device) for k, v in buffers.items()}
        self.mode = mode
        if mode == "looped":
            self.modules = [copy.deepcopy(module).to(device) for module in modules]
            self.random_states = [_random_state(seed) for seed in seeds]
            return
        together = lift(modules[0]) if mode == "lifted" else copy.deepcopy(modules[0])
        if together is None:
            raise ValueError("a layer has no lifted form; use mode 'vmap'")
        self.modules = [together.to(device)]

    def _leaves(self, parameters: State) -> State:
        return {name: value.detach().requires_grad_(name not in self.frozen) for name, value in parameters.items()}

    @property
    def trainable(self) -> list[torch.Tensor]:
        """Parameters ``(R, *shape)`` that are trained: all but those frozen by ``requires_grad=False``."""
        return [value for name, value in self.parameters.items() if name not in self.frozen]

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def losses_and_gradients(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Cross-entropy of each replica on its own batch, and the gradients.

        Parameters
        ----------
        x : Tensor ``(R, B, *features)``
        y : Tensor ``(R, B)``

        Returns
        -------
        losses : Tensor ``(R,)``
        gradients : list of Tensor ``(R, *shape)``
            In the order of `trainable`.
        """
        logits = self.logits(x, training=True)
        losses = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(dim=1)
        if not losses.requires_grad:  # nothing that is trained takes part
            return losses, [torch.zeros_like(parameter) for parameter in self.trainable]
        found = torch.autograd.grad(losses.sum(), self.trainable, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(self.trainable, found, strict=True)]
        return losses.detach(), gradients

    def logits(self, x: torch.Tensor, training: bool) -> torch.Tensor:
        """Run each replica on its own batch ``(R, B, *features)``; in training, buffers are updated.

        Returns
        -------
        Tensor ``(R, B, classes)``
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
        x, y : Tensor ``(N, *features)``, ``(N,)``
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
            inputs = x[start : start + block].expand(len(alive), *x[start : start + block].shape)
            logits = self._forward(*state, inputs, training=False, which=selected)
            wrong[alive] += (logits.argmax(dim=2) != y[start : start + block]).sum(dim=1)
            hopeful = wrong[alive] <= allowed
            if not bool(hopeful.all()):
                alive = alive[hopeful]
                if not len(alive):
                    break
                selected = which[alive]
                state = self._select(selected)
        return wrong

    def keep(self, index: torch.Tensor) -> None:
        """Go on with the replicas in ``index`` alone."""
        parameters, self.buffers = self._select(index)
        self.parameters = self._leaves(parameters)
        if self.mode == "looped":
            self.modules = [self.modules[i] for i in index.tolist()]
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
        """Logits ``(R, B, classes)``; in training, buffers are updated, whether in place or replaced."""
        if self.mode == "looped":
            places = range(len(self)) if which is None else which.tolist()
            results = [
                self._forward_one(place, _slice(parameters, i), _slice(buffers, i), x[i], training)
                for i, place in enumerate(places)
            ]
            logits = torch.stack([result[0] for result in results])
            updated = {k: torch.stack([result[1][k] for result in results]) for k in buffers}
        else:
            call = _call(self.modules[0].train(training))
            logits, updated = (call if self.mode == "lifted" else vmap(call))(parameters, buffers, x)
        if training:
            self.buffers = {k: v.detach() for k, v in updated.items()}
        return logits

    def _forward_one(
        self, place: int, parameters: State, buffers: State, x: torch.Tensor, training: bool
    ) -> tuple[torch.Tensor, State]:
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.set_rng_state(self.random_states[place])
            buffers = {k: v.clone() for k, v in buffers.items()}
            result = _call(self.modules[place].train(training))(parameters, buffers, x)
            if training:
                self.random_states[place] = torch.get_rng_state()
        return result


def _call(module: nn.Module) -> Callable[[State, State, torch.Tensor], tuple[torch.Tensor, State]]:
    """Make a pure function of a module; the state dictionary also catches buffers that are replaced."""

    def call(parameters: State, buffers: State, x: torch.Tensor) -> tuple[torch.Tensor, State]:
        state = {**parameters, **buffers}
        logits = functional_call(module, state, (x,))
        return logits, {name: state[name] for name in buffers}

    return call


def _slice(state: State, index: int) -> State:
    return {name: value[index] for name, value in state.items()}


def _random_state(seed: int) -> torch.Tensor:
    return torch.Generator().manual_seed(seed).get_state()


def choose_mode(modules: Sequence[nn.Module], x: torch.Tensor, y: torch.Tensor) -> tuple[Mode, str]:
    """Find the fastest mode that computes what the modules compute alone.

    Each mode is tried on training passes, an evaluation and the dropping of a replica, and compared.

    Parameters
    ----------
    modules : sequence of nn.Module
        Two replicas.
    x, y : Tensor ``(2, B, *features)``, ``(2, B)``
        A batch for each.

    Returns
    -------
    mode : {"lifted", "vmap", "looped"}
    reason : str
        Why the modules must be looped over; empty otherwise.

    Raises
    ------
    Exception
        Whatever the module itself raises when it runs alone.
    """
    alone = _passes(Stack(modules, (0, 1), x.device, "looped"), x, y)
    reason = ""
    modes: tuple[Mode, ...] = ("lifted", "vmap") if lift(modules[0]) is not None else ("vmap",)
    for mode in modes:
        try:
            together = _passes(Stack(modules, (0, 1), x.device, mode), x, y)
        except Exception as error:
            reason = f"torch.func.vmap cannot run it ({_first_line(error)})"
            continue
        if _agree(alone, together, AGREEMENT.get(x.dtype, 1e-2)):
            return mode, ""
        reason = "under torch.func.vmap it computes something else than alone"
    return "looped", reason


def _agree(alone: list[torch.Tensor], together: list[torch.Tensor], tolerance: float) -> bool:
    """Compare tensors, each at its own scale, but none below ``tolerance`` of the largest.

    A bias in front of a batch norm has a gradient of zero, and rounding alone decides what is computed.
    Infinities and NaN must stand in the same places.
    """
    scales = [_largest_finite(tensor) for tensor in alone]
    floor = tolerance * max(scales, default=0.0)
    return all(
        one.shape == other.shape
        and torch.allclose(one, other, rtol=0.0, atol=tolerance * max(scale, floor), equal_nan=True)
        for one, other, scale in zip(alone, together, scales, strict=True)
    )


def _largest_finite(tensor: torch.Tensor) -> float:
    finite = tensor[torch.isfinite(tensor)]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _passes(stack: Stack, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    results: list[torch.Tensor] = []
    for kept in (torch.tensor([0, 1]), torch.tensor([1])):  # the second time with one replica dropped
        kept = kept.to(x.device)
        stack.keep(kept)
        for _ in range(2):
            losses, gradients = stack.losses_and_gradients(x[kept], y[kept])
            results += [losses, *gradients]
        with torch.no_grad():
            results.append(stack.logits(x[kept], training=False))
    return results


def _first_line(error: Any) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:160]
