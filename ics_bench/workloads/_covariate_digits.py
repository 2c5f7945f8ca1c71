"""Digits as two sites record them, and perceptrons trained on the first, for `covariate_shift`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ics_bench.core import Scalar
from ics_bench.subjects.data.digits import load
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norm import load_norm
from ics_bench.training import Observation, Problem, Recipe, Replica, Trainer


@dataclass(frozen=True, slots=True)
class Site:
    """A scanner: what it records is offset + gain·intensity."""

    gain: float
    offset: float

    @classmethod
    def of(cls, shift: str) -> Site:
        """Return the site where the model is used."""
        gain, offset = {
            "none": (1.0, 0.0),
            "weak-scanner": (0.8, 0.1),
            "scanner": (0.5, 0.25),
            "strong-scanner": (0.25, 0.5),
        }[shift]
        return cls(gain, offset)

    def record(self, intensity: torch.Tensor) -> torch.Tensor:
        """Return the images as this site has them."""
        return self.offset + self.gain * intensity


def classify(
    site: Site,
    remedy: str,
    recipe: Mapping[str, Scalar],
    seeds: Sequence[int],
    draws: Callable[[int, str], int],
    device: str,
) -> tuple[dict[int, tuple[float, float]], tuple[str, ...]]:
    """Train on the first site's images, one net a seed, and test on ``site``.

    Parameters
    ----------
    site : Site
    remedy : str
    recipe : mapping
        ``steps``, ``batch_size``, ``learning_rate``, ``depth`` and ``width``.
    seeds : sequence of int
    draws : callable
        ``draws(seed, purpose)``: the seed of a stream.
    device : {"cpu", "cuda"}

    Returns
    -------
    dict of int to (float, float)
        By seed, accuracy at ``site`` and at the first site; a diverged net has none.
    tuple of str
        The trainer's warnings.
    """
    data = load()
    low, high = data.x.min(), data.x.max()  # the loader's one shift and one scale, undone
    train, test = (((x - low) / (high - low)).to(device) for x in (data.x, data.x_test))
    y, y_test = data.y.to(device), data.y_test.to(device)
    prepare = _preparation(remedy, train)
    at_site, at_home = prepare(site.record(test)), prepare(test)
    norm_layer = load_norm("batch" if remedy.startswith("batch") else "none").build
    found: dict[int, tuple[float, float]] = {}

    def build(seed: int) -> nn.Module:
        return build_model(
            "plain",
            in_features=train.shape[1],
            num_classes=data.num_classes,
            depth=int(recipe["depth"]),
            width=int(recipe["width"]),
            norm_layer=norm_layer,
            norm_position="before",
            initialize=he,
            generator=torch.Generator().manual_seed(draws(seed, "weights")),
        )

    def observe(seen: Observation) -> None:
        home = _accuracy(seen.module, at_home, y_test)
        if remedy == "batch-recalibrated":
            recalibrate(seen.module, prepare(site.record(train)))
        found[seen.replica.seed] = (_accuracy(seen.module, at_site, y_test), home)

    problem = Problem(prepare(train), y, build, lambda seed: draws(seed, "order"))
    steps = int(recipe["steps"])
    trainer = Trainer(problem, Recipe(steps=steps, batch_size=int(recipe["batch_size"])))
    rate = float(recipe["learning_rate"])
    trainer.train([Replica(rate, seed) for seed in seeds], observe=observe, observe_at=(steps,))
    return found, trainer.warnings


def _preparation(remedy: str, train: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what is done to an image before the net sees it, at both sites alike."""
    if remedy == "none":
        return lambda x: x
    if remedy == "image-norm":
        return lambda x: (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True)
    mean, std = train.mean(), train.std()  # one scale for all pixels: three of them are constant
    return lambda x: (x - mean) / std


def recalibrate(module: nn.Module, x: torch.Tensor) -> None:
    """Replace the running statistics of batch norms by those of ``x``, one forward pass in training mode.

    Weights stay as they are. The statistics of a later layer are those under the batch statistics of
    the layers before it.
    """
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # a plain average over batches, here of one
    module.train()
    with torch.no_grad():
        module(x)


def _accuracy(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    module.eval()
    with torch.no_grad():
        return float((module(x).argmax(dim=1) == y).double().mean())
