"""Watches nets train and measures, between two steps, how the inputs of their layers move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ics_bench.core import derive_seed
from ics_bench.probes.drift import Drift, drifts
from ics_bench.probes.gradient_shift import GradientShift, compare_gradients, gradient_shifts, layer_gradients
from ics_bench.probes.layers import Signals, layers_of, signals
from ics_bench.subjects.exchange import Exchange, State
from ics_bench.training import Observation, Problem


@dataclass(frozen=True, slots=True)
class SingleSteps:
    """What moves where one layer at a time takes its step.

    Parameters
    ----------
    moved : list of list of float
        W₁/σ of the input of layer j (column) where layer i (row) alone took its step.
    parts : list of float
        W₁/σ of the last hidden pre-activation where layer i alone took its step.
    joint : float
        The same where all took it.
    """

    moved: list[list[float]]
    parts: list[float]
    joint: float


@dataclass(slots=True)
class Pair:
    """Everything measured between steps t and t+1 of one replica; lists run over layers, first layer first.

    Parameters
    ----------
    step : int
        t.
    drifts : list of Drift
        Of the pre-activations, batch statistics.
    running : list of Drift
        The same in evaluation mode, by running statistics.
    linear : list of Drift
        Of the linear maps' outputs, before any norm.
    inputs : list of Drift
        Of what the layers receive; the first layer receives the data, which do not move.
    sampling, resampling : list of Drift
        At step t, between the pre-activations of the probe batch and those of two others, disjoint.
    shifts : list of GradientShift
        By the step of the layers below.
    consistency : list of float
        cos of a weight's gradients on all data at t and t+1.
    single : SingleSteps, optional
    """

    step: int
    drifts: list[Drift]
    running: list[Drift]
    linear: list[Drift]
    inputs: list[Drift]
    sampling: list[Drift]
    resampling: list[Drift]
    shifts: list[GradientShift]
    consistency: list[float]
    single: SingleSteps | None


@dataclass(slots=True)
class Record:
    """What was seen of one replica: its pairs of steps, and what other changes did to it at the start."""

    pairs: list[Pair] = field(default_factory=list)
    perturbed: list[Drift] = field(default_factory=list)
    scaled: SingleSteps | None = None


@dataclass(frozen=True, slots=True)
class _Before:
    step: int
    module: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    gradients: tuple[torch.Tensor, ...]


class ShiftWatch:
    """An observer of training; see `ics_bench.training.Trainer.train`.

    Parameters
    ----------
    problem : Problem
    starts : sequence of int
        Steps t; the net is to be observed at each t and t+1.
    apart : sequence of int
        Those of them at which each layer also takes its step alone.
    probe_seed : callable
        ``probe_seed(seed)`` seeds the choice of the probe batches and the perturbation of a replica.
    probe_size : int
        Samples in a probe batch. There are three, disjoint.
    perturbation : float
        Standard deviation of the Gaussian perturbation of every weight and bias.
    scaling : float, optional
        Factor on each layer's initial parameters, for steps that compound for certain: in a ReLU net
        without biases, together they multiply what each alone adds.

    Attributes
    ----------
    records : dict of int to Record
        By seed.
    """

    def __init__(
        self,
        problem: Problem,
        starts: Sequence[int],
        apart: Sequence[int],
        probe_seed: Callable[[int], int],
        probe_size: int,
        perturbation: float,
        scaling: float | None = None,
    ) -> None:
        self.problem, self.probe_seed = problem, probe_seed
        self.starts, self.apart = frozenset(starts), frozenset(apart)
        self.probe_size, self.perturbation, self.scaling = probe_size, perturbation, scaling
        self.records: dict[int, Record] = {}
        self._before: dict[int, _Before] = {}

    def __call__(self, observation: Observation) -> None:
        """Keep what is needed of step t, or measure from t to t+1."""
        seed = observation.replica.seed
        record = self.records.setdefault(seed, Record())
        if observation.step == 0:
            record.perturbed = self._perturbed(observation.module, seed)
            record.scaled = self._scaled(observation.module, seed)
        before = self._before.pop(seed, None)
        if before is not None and observation.step == before.step + 1:
            record.pairs.append(self._pair(before, observation.module, seed))
        if observation.step in self.starts:
            module = observation.module
            gradients = layer_gradients(
                module, self.problem.x, self.problem.y, self._loss, self._noise(seed, observation.step)
            )
            self._before[seed] = _Before(observation.step, module, observation.x, observation.y, gradients)

    def _loss(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.problem.loss.mean(output[None], y[None])[0]

    def _probes(self, seed: int) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(self.probe_seed(seed))
        order = torch.randperm(len(self.problem.x), generator=generator)[: 3 * self.probe_size]
        return list(torch.split(self.problem.x[order.to(self.problem.x.device)], self.probe_size))

    def _noise(self, seed: int, step: int) -> int:
        """Seed of what a net itself draws: anew for each replica and from step to step, as in training."""
        return derive_seed(self.probe_seed(seed), "noise", step)

    def _pair(self, before: _Before, after: nn.Module, seed: int) -> Pair:
        step, module, probes = before.step, before.module, self._probes(seed)
        noise, later = (self._noise(seed, at) for at in (step, step + 1))
        now, then = signals(module, probes[0], noise), signals(after, probes[0], later)
        others = [signals(module, probe, noise) for probe in probes[1:]]
        gradients = layer_gradients(after, self.problem.x, self.problem.y, self._loss, later)
        stepped = _parameters(after)
        single = _single_steps(module, stepped, now, probes[0], noise) if step in self.apart else None
        return Pair(
            step=step,
            drifts=drifts(now.pre_activations, then.pre_activations),
            running=self._running(module, after, probes[0]),
            linear=drifts(now.linear, then.linear),
            inputs=drifts(now.inputs, then.inputs),
            sampling=drifts(now.pre_activations, others[0].pre_activations),
            resampling=drifts(now.pre_activations, others[1].pre_activations),
            shifts=list(gradient_shifts(module, stepped, before.x, before.y, self._loss, noise)),
            consistency=[compare_gradients(*both).cosine for both in zip(before.gradients, gradients, strict=True)],
            single=single,
        )

    def _running(self, module: nn.Module, after: nn.Module, probe: torch.Tensor) -> list[Drift]:
        found = []
        for net in (module, after):
            net.eval()
            found.append(signals(net, probe).pre_activations)
            net.train()
        return drifts(*found)

    def _perturbed(self, module: nn.Module, seed: int) -> list[Drift]:
        probe, noise = self._probes(seed)[0], self._noise(seed, 0)
        generator = torch.Generator().manual_seed(derive_seed(self.probe_seed(seed), "perturbation"))
        state = {
            name: value + (self.perturbation * torch.randn(value.shape, generator=generator)).to(value)
            for name, value in _parameters(module).items()
        }
        with Exchange(module).holding(state):
            shaken = signals(module, probe, noise).pre_activations
        return drifts(signals(module, probe, noise).pre_activations, shaken)

    def _scaled(self, module: nn.Module, seed: int) -> SingleSteps | None:
        if self.scaling is None:
            return None
        probe, noise = self._probes(seed)[0], self._noise(seed, 0)
        larger = {name: self.scaling * value for name, value in _parameters(module).items()}
        return _single_steps(module, larger, signals(module, probe, noise), probe, noise)


def _single_steps(module: nn.Module, stepped: State, now: Signals, probe: torch.Tensor, noise: int) -> SingleSteps:
    """Let one layer at a time take its step and see what moves."""
    moved, parts = [], []
    exchange = Exchange(module)
    for layer in layers_of(module):
        with exchange.holding({name: stepped[name] for name in layer.parameters}):
            alone = signals(module, probe, noise)
        moved.append(_distances(now.inputs, alone.inputs))
        parts += _distances(now.pre_activations[-1:], alone.pre_activations[-1:])
    with exchange.holding(dict(stepped)):
        whole = signals(module, probe, noise)
    (joint,) = _distances(now.pre_activations[-1:], whole.pre_activations[-1:])
    return SingleSteps(moved, parts, joint)


def _parameters(module: nn.Module) -> State:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def _distances(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> list[float]:
    """W₁/σ layer by layer; what did not change at all need not be sorted."""
    changed = [place for place, both in enumerate(zip(before, after, strict=True)) if not torch.equal(*both)]
    measured = drifts([before[place] for place in changed], [after[place] for place in changed])
    distances = {place: drift.wasserstein for place, drift in zip(changed, measured, strict=True)}
    return [distances.get(place, 0.0) for place in range(len(before))]
