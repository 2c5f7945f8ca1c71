"""What a normalization layer is to this suite, and how a foreign one is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ics_bench.core.errors import UsageError
from ics_bench.subjects import NORMS

NormLayer = Callable[[int], nn.Module]


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


def load_norm(name: str) -> Norm:
    """Find a norm by name; a foreign factory is checked before it is used.

    Raises
    ------
    UsageError
        If the factory raises, returns no module, or its module changes the shape.
    """
    found = NORMS.load(name)
    if isinstance(found, Norm):
        return found
    if not callable(found):
        raise UsageError(f"norm {name!r} is {found!r}; expected a factory norm_layer(num_features) -> nn.Module")
    summary = (getattr(found, "__doc__", None) or "a layer of your own").strip().splitlines()[0]
    norm = Norm(found, summary=summary, source=name, uses_batch=True)
    check_factory(name, norm.build)
    return norm


def check_factory(name: str, build: NormLayer, num_features: int = 8) -> None:
    """Call a factory once on ``(4, num_features)`` input and reject what cannot serve as a norm.

    Raises
    ------
    UsageError
        Naming the norm and what it did.
    """
    try:
        module = build(num_features)
    except Exception as error:
        raise UsageError(f"norm {name!r}: calling it with num_features={num_features} raised {error!r}") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"norm {name!r}: it returned {type(module).__name__}, not a torch.nn.Module")
    x = torch.linspace(-1.0, 1.0, 4 * num_features).reshape(4, num_features)
    try:
        with torch.no_grad():
            y = module(x)
    except Exception as error:
        raise UsageError(f"norm {name!r}: its forward on shape {tuple(x.shape)} raised {error!r}") from error
    if not isinstance(y, torch.Tensor) or y.shape != x.shape:
        got = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
        raise UsageError(f"norm {name!r}: it turned shape {tuple(x.shape)} into {got}; a norm keeps the shape")
