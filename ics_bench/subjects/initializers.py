"""Weight initializers: ``initialize(module, generator)`` fills a linear or convolutional layer in place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ics_bench.core.errors import UsageError
from ics_bench.core.registry import Registry

if TYPE_CHECKING:
    import torch

Initializer = Callable[["torch.nn.Module", "torch.Generator"], None]


def fans(weight: torch.Tensor) -> tuple[int, int]:
    """Fan-in and fan-out of a weight of shape ``(out, in, *kernel)``."""
    receptive_field = math.prod(weight.shape[2:])
    return weight.shape[1] * receptive_field, weight.shape[0] * receptive_field


def _zero_bias(module: Any) -> None:
    if module.bias is not None:
        module.bias.detach().zero_()


def _gaussian(module: Any, generator: torch.Generator, std: float) -> None:
    module.weight.detach().normal_(0.0, std, generator=generator)
    _zero_bias(module)


def xavier(module: Any, generator: torch.Generator) -> None:
    """N(0, 2 / (fan_in + fan_out)), zero bias (Glorot & Bengio 2010, eq. 12)."""
    _gaussian(module, generator, math.sqrt(2.0 / sum(fans(module.weight))))


def he(module: Any, generator: torch.Generator) -> None:
    """N(0, 2 / fan_in), zero bias (He et al. 2015, eq. 10)."""
    _gaussian(module, generator, math.sqrt(2.0 / fans(module.weight)[0]))


def lecun(module: Any, generator: torch.Generator) -> None:
    """N(0, 1 / fan_in), zero bias (LeCun et al. 1998, eq. 16)."""
    _gaussian(module, generator, math.sqrt(1.0 / fans(module.weight)[0]))


def orthogonal(module: Any, generator: torch.Generator) -> None:
    """Random orthogonal rows or columns with gain 1, zero bias (Saxe et al. 2014)."""
    import torch

    torch.nn.init.orthogonal_(module.weight.detach(), generator=generator)
    _zero_bias(module)


def default(module: Any, generator: torch.Generator) -> None:
    """Draw weights and bias as torch does: uniform in ±1/√fan_in (`torch.nn.Linear.reset_parameters`)."""
    bound = 1.0 / math.sqrt(fans(module.weight)[0])
    module.weight.detach().uniform_(-bound, bound, generator=generator)
    if module.bias is not None:
        module.bias.detach().uniform_(-bound, bound, generator=generator)


def normal(std: float) -> Initializer:
    """N(0, std²) whatever the width, zero bias."""

    def initialize(module: Any, generator: torch.Generator) -> None:
        _gaussian(module, generator, std)

    initialize.__doc__ = f"N(0, {std:g}²), zero bias."
    return initialize


_BUILTIN = {function.__name__: function for function in (default, he, lecun, orthogonal, xavier)}
_NORMAL = re.compile(r"normal-(\d+\.?\d*(?:e[+-]?\d+)?)")


class InitializerRegistry(Registry):
    """Initializers by name; ``normal-SIGMA`` stands for N(0, SIGMA²) with any positive SIGMA."""

    def builtin(self) -> tuple[str, ...]:
        """Names of the built-in initializers; the Gaussian ones at the scales that the claims use."""
        return (*sorted(_BUILTIN), "normal-0.01", "normal-1")

    def _summary(self, name: str) -> str:
        return (getattr(self.load(name), "__doc__", None) or "").partition("\n")[0]

    def verify(self, name: str, *uses: object) -> None:
        """Check an initializer of the user's; a Gaussian of any scale is ours."""
        if _NORMAL.fullmatch(name) is None:
            super().verify(name, *uses)

    def canonical(self, name: str) -> str:
        """Return ``name`` as it stands in results, with SIGMA in its shortest form."""
        match = _NORMAL.fullmatch(name)
        if match is None:
            return super().canonical(name)
        if float(match[1]) <= 0 or not math.isfinite(float(match[1])):
            raise UsageError(f"initializer {name!r}: the scale must be positive, as in normal-0.01")
        return f"normal-{repr(float(match[1])).removesuffix('.0')}"

    def load(self, name: str) -> object:
        """Return the function that ``name`` stands for.

        Raises
        ------
        UsageError
            If it is unknown, cannot be imported or cannot be called.
        """
        match = _NORMAL.fullmatch(name)
        if match is not None:
            return normal(float(match[1]))
        found = _BUILTIN[name] if name in _BUILTIN else super().load(name)
        if not callable(found):
            raise UsageError(f"initializer {name!r} is {found!r}; expected a function initialize(module, generator)")
        return found
