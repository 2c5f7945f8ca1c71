"""Builds models by name, handing a factory only the options that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from ics_bench.core.errors import UsageError
from ics_bench.subjects import ARCHITECTURES
from ics_bench.subjects.norm import hidden_layers, normalize_weights
from ics_bench.subjects.randomness import seeded


def build_model(name: str, **options: Any) -> nn.Module:
    """Build a model.

    Parameters
    ----------
    name : str
        A built-in architecture, an entry point of the group ``ics_bench.models``, or ``module:factory``.
    **options
        ``in_features``, ``num_classes``, ``depth``, ``width``, ``norm_layer``, ``initialize``,
        ``generator``, ... A factory gets those that its signature names, or all with ``**options``.
        One that takes no ``generator`` draws from torch's global one, which is seeded for it and put
        back afterwards. A norm of weights is applied here, to all `hidden_layers`, once the model has its
        initial weights.

    Raises
    ------
    UsageError
        If the factory is no callable, raises, or returns something other than a module.
    """
    factory = _factory(name)
    ignored = ignored_options(name, options)
    accepted = {option: value for option, value in options.items() if option not in ignored}
    seed = options["generator"].initial_seed() if "generator" in options else 0
    with seeded(seed):
        try:
            model = factory(**accepted)
        except Exception as error:
            raise UsageError(f"model {name!r}: building it with {sorted(accepted)} raised {error!r}") from error
        if not isinstance(model, nn.Module):
            raise UsageError(f"model {name!r}: it returned {type(model).__name__}, not a torch.nn.Module")
        if "norm_layer" in accepted:
            normalize_weights(hidden_layers(model), accepted["norm_layer"])
    return model


def residual_blocks(model: nn.Module) -> int:
    """Count the residual blocks of a model: modules that say ``residual_block = True`` of themselves."""
    return sum(bool(getattr(module, "residual_block", False)) for module in model.modules())


def ignored_options(name: str, options: Iterable[str]) -> tuple[str, ...]:
    """Those of ``options`` that a model's factory does not take: arms that differ in them alone are one model.

    Raises
    ------
    UsageError
        If the factory is unknown, cannot be imported, is no callable, or does not tell its parameters.
    """
    factory = _factory(name)
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"model {name!r}: it does not tell which options it takes ({error}); wrap it in def"
        ) from error
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return ()
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = {p.name for p in parameters if p.kind in by_keyword}
    return tuple(option for option in options if option not in taken)


def _factory(name: str) -> Callable[..., Any]:
    factory = ARCHITECTURES.load(name)
    if not callable(factory):
        raise UsageError(f"model {name!r} is {factory!r}; expected a factory that returns a torch.nn.Module")
    return factory
