"""What a normalization layer is to this suite, and how a foreign one is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from ics_bench.core.errors import UsageError
from ics_bench.subjects import NORMS

NormLayer = Callable[[int], nn.Module]
Reparametrize = Callable[[nn.Module], None]

DEFAULT_SHAPE = (4, 8)
"""Input for trying a norm on where no case names a width."""


@dataclass(frozen=True, slots=True)
class OfWeights:
    """A ``norm_layer`` that leaves activations alone, for a norm that acts on the weights before them.

    Parameters
    ----------
    reparametrize : callable
        ``reparametrize(layer) -> None`` replaces the weight of a linear or convolutional layer by a function
        of new parameters, with `torch.nn.utils.parametrize`. A factory of anyone's that has an attribute of
        this name is such a norm.
    """

    reparametrize: Reparametrize

    def __call__(self, num_features: int) -> nn.Module:
        """Return the identity."""
        del num_features
        return nn.Identity()


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalization layer and what a workload must know to use it.

    Parameters
    ----------
    build : callable
        ``norm_layer(num_features) -> nn.Module``, the convention of torchvision and timm.
    summary : str
        One line.
    source : str
        Paper that defines it.
    needs_spatial : bool
        Whether it averages over positions, so that ``(N, C)`` input leaves it nothing to average.
    uses_batch : bool
        Whether the output for one sample depends on the others, so that one sample is not enough.
    """

    build: NormLayer
    summary: str
    source: str
    needs_spatial: bool = False
    uses_batch: bool = False

    @property
    def acts_on_weights(self) -> bool:
        """Whether there is no layer to apply: see `OfWeights`."""
        return hasattr(self.build, "reparametrize")


def hidden_layers(model: nn.Module) -> list[nn.Module]:
    """Linear and convolutional layers of a model but the last that it registers, its output layer."""
    found: list[nn.Module] = [module for module in model.modules() if isinstance(module, nn.Linear | _ConvNd)]
    return found[:-1]


def normalize_weights(layers: Iterable[nn.Module], norm_layer: NormLayer) -> None:
    """Reparametrize layers that hold their initial weights, if ``norm_layer`` is a norm of weights.

    A layer whose weight is parametrized already, by the model's author, is left as it is.
    """
    reparametrize: Reparametrize | None = getattr(norm_layer, "reparametrize", None)
    if reparametrize is None:
        return
    for layer in layers:
        if not is_parametrized(layer, "weight"):
            reparametrize(layer)


def load_norm(name: str) -> Norm:
    """Find a norm by name. A foreign one is tried by `check_norm`, before a run begins.

    Raises
    ------
    UsageError
        If it is unknown, cannot be imported or is no factory.
    """
    found = NORMS.load(name)
    if isinstance(found, Norm):
        return found
    if not callable(found):
        raise UsageError(f"norm {name!r} is {found!r}; expected a factory norm_layer(num_features) -> nn.Module")
    summary = (getattr(found, "__doc__", None) or "a layer of your own").strip().splitlines()[0]
    return Norm(found, summary=summary, source=name, uses_batch=True)


def check_norm(name: str, *shapes: tuple[int, ...]) -> None:
    """Try a norm on every shape that it will meet.

    A forward that raises on one rank of input, such as ``(N, C, H, W)``, is let pass if it serves every
    shape of another: a workload that has both skips what the norm does not take.

    Parameters
    ----------
    name : str
    *shapes : tuple of int
        ``(N, C, *)``; one small shape without any.

    Raises
    ------
    UsageError
        If the factory raises or returns no module, its module changes the shape or the dtype, or it
        serves no rank.
    """
    build = load_norm(name).build
    declined: dict[int, UsageError] = {}
    served = shapes or (DEFAULT_SHAPE,)
    for shape in served:
        try:
            check_factory(name, build, shape)
        except _DeclinedError as error:
            declined.setdefault(len(shape), error)
    if declined.keys() >= {len(shape) for shape in served}:
        raise next(iter(declined.values()))


class _DeclinedError(UsageError):
    """A forward that raised."""


def check_factory(name: str, build: NormLayer, shape: tuple[int, ...] = DEFAULT_SHAPE) -> None:
    """Call a factory once on float32 input of ``shape``, ``(N, C, *)``, and reject what cannot serve as a norm.

    Raises
    ------
    UsageError
        Naming the norm and what it did.
    """
    num_features = shape[1]
    x = torch.linspace(-1.0, 1.0, math.prod(shape)).reshape(shape)
    with torch.random.fork_rng(devices=[]):
        try:
            module = build(num_features)
        except Exception as error:
            raise UsageError(f"norm {name!r}: calling it with num_features={num_features} raised {error!r}") from error
        if not isinstance(module, nn.Module):
            raise UsageError(
                f"norm {name!r}: called with num_features={num_features}, it returned {type(module).__name__}, "
                "not a torch.nn.Module"
            )
        try:
            normalize_weights([nn.Linear(num_features, num_features)], build)
        except Exception as error:
            raise UsageError(f"norm {name!r}: reparametrizing a linear layer raised {error!r}") from error
        try:
            with torch.no_grad():
                y = module(x)
        except Exception as error:
            raise _DeclinedError(f"norm {name!r}: its forward on shape {shape} raised {error!r}") from error
    if not isinstance(y, torch.Tensor) or y.shape != x.shape:
        got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise UsageError(f"norm {name!r}: it turned shape {shape} into {got}; a norm keeps the shape")
    if y.dtype != x.dtype:
        before, after = (str(dtype).removeprefix("torch.") for dtype in (x.dtype, y.dtype))
        raise UsageError(f"norm {name!r}: it turned {before} of shape {shape} into {after}; a norm keeps the dtype")
