"""Checks what others wrote once, on small input, before anything is measured with it."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.core.errors import UsageError
from ics_bench.subjects import DATASETS, INITIALIZERS
from ics_bench.subjects.dataset import Dataset
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norms.none import build as no_norm

IN_FEATURES, NUM_CLASSES = 64, 10
"""Sizes of the digits data, for factories that fix them."""


def check_model(name: str) -> None:
    """Build a model and map ``(4, in_features)`` to logits once.

    Raises
    ------
    UsageError
        If it cannot be built, its forward raises, or its output is not ``(4, num_classes)``.
    """
    model = build_model(
        name,
        in_features=IN_FEATURES,
        num_classes=NUM_CLASSES,
        depth=4,
        width=16,
        norm_layer=no_norm,
        norm_position="before",
        initialize=he,
        generator=torch.Generator().manual_seed(0),
    )
    x = torch.linspace(-1.0, 1.0, 4 * IN_FEATURES).reshape(4, IN_FEATURES)
    try:
        with torch.no_grad():
            logits = model(x)
    except Exception as error:
        raise UsageError(f"model {name!r}: its forward on shape {tuple(x.shape)} raised {error!r}") from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (4, NUM_CLASSES):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UsageError(f"model {name!r}: it turned shape {tuple(x.shape)} into {got}, not (4, {NUM_CLASSES})")


def check_initializer(name: str) -> None:
    """Fill a linear layer once.

    Raises
    ------
    UsageError
        If it is no callable, raises, or leaves weights that are not finite.
    """
    initialize = INITIALIZERS.load(name)
    if not callable(initialize):
        raise UsageError(f"initializer {name!r} is {initialize!r:.80}; expected initialize(module, generator)")
    layer = nn.Linear(8, 8)
    try:
        with torch.no_grad():
            initialize(layer, torch.Generator().manual_seed(0))
    except Exception as error:
        raise UsageError(f"initializer {name!r}: filling a linear layer raised {error!r}") from error
    if not bool(layer.weight.isfinite().all()):
        raise UsageError(f"initializer {name!r}: it left weights that are not finite")


def check_dataset(name: str) -> None:
    """Load a data set once.

    Raises
    ------
    UsageError
        If it is no callable, raises, or returns something other than a `Dataset`.
    """
    load = DATASETS.load(name)
    if not callable(load):
        raise UsageError(f"data set {name!r} is {load!r:.80}; expected load() -> Dataset")
    try:
        data = load()
    except Exception as error:
        raise UsageError(f"data set {name!r}: loading it raised {error!r}") from error
    if not isinstance(data, Dataset):
        raise UsageError(
            f"data set {name!r}: it returned {type(data).__name__}, not ics_bench.subjects.dataset.Dataset"
        )
