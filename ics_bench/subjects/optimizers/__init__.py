"""Optimizers, one file each; see `ics_bench.subjects.optimizer`. Importing the registry costs no torch."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import cast

from ics_bench.core.errors import UsageError
from ics_bench.core.registry import Registry

_OPTIONS = {"adam": "beta2", "momentum": "momentum"}
"""The decay rate that ``NAME-DECAY`` sets, by optimizer."""

_NAMED = re.compile(rf"({'|'.join(_OPTIONS)})-(\d+\.?\d*(?:e[+-]?\d+)?)")


class OptimizerRegistry(Registry):
    """Optimizers by name; ``adam-BETA2`` and ``momentum-DECAY`` set the decay rate, as in ``adam-0.98``."""

    def builtin(self) -> tuple[str, ...]:
        """Names of the built-in optimizers; Adam also with the β₂ of Vaswani et al. 2017."""
        return tuple(sorted((*super().builtin(), "adam-0.98")))

    def _summary(self, name: str) -> str:
        match = _NAMED.fullmatch(name)
        return f"{match[1]} with {_OPTIONS[match[1]]} {match[2]}" if match else super()._summary(name)

    def verify(self, name: str, *uses: object) -> None:
        """Check an optimizer of the user's; one of ours with any decay rate is ours."""
        if _NAMED.fullmatch(name) is None:
            super().verify(name, *uses)

    def canonical(self, name: str) -> str:
        """Return ``name`` as it stands in results, with the decay rate in its shortest form."""
        match = _NAMED.fullmatch(name)
        if match is None:
            return super().canonical(name)
        if not 0 <= float(match[2]) < 1:
            raise UsageError(f"optimizer {name!r}: the decay rate must lie in [0, 1), as in adam-0.98")
        return f"{match[1]}-{repr(float(match[2])).removesuffix('.0')}"

    def load(self, name: str) -> object:
        """Return the factory that ``name`` stands for.

        Raises
        ------
        UsageError
            If it is unknown, cannot be imported or cannot be called.
        """
        match = _NAMED.fullmatch(name)
        if match is not None:
            base = cast("Callable[..., object]", super().load(match[1]))
            return functools.partial(base, **{_OPTIONS[match[1]]: float(self.canonical(name).partition("-")[2])})
        found = super().load(name)
        if not callable(found):
            raise UsageError(f"optimizer {name!r} is {found!r}; expected a factory without required arguments")
        return found
