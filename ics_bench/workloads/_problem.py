"""Builds the training problem that a case's keys describe; shared by the workloads that train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from ics_bench.core import Case, Workload
from ics_bench.subjects import DATASETS, INITIALIZERS

if TYPE_CHECKING:
    from torch import nn

    from ics_bench.subjects.dataset import Dataset
    from ics_bench.subjects.initializers import Initializer
    from ics_bench.training import Problem

OPTIONS = {
    "norm": "norm_layer",
    "depth": "depth",
    "width": "width",
    "norm_position": "norm_position",
    "init": "initialize",
    "activation": "activation",
}
"""Axes that reach a model as options of its factory."""


def load_data(case: Case) -> Dataset:
    """Load the data set that a case names."""
    return cast("Callable[[], Dataset]", DATASETS.load(case.text("data")))()


def problem_of(workload: Workload, case: Case, device: str, **options: Any) -> Problem:
    """Build the training problem of a case: its data, its model by seed, its order by seed.

    Parameters
    ----------
    workload : Workload
        Its `seed_for` gives the streams ``weights`` and ``order``.
    case : Case
        Holds ``architecture``, ``data``, ``norm``, ``init`` and those of the other `OPTIONS` that it has.
    device : {"cpu", "cuda"}
    **options
        Further options of the model's factory, or others than the case's.
    """
    import torch

    from ics_bench.subjects.model import build_model
    from ics_bench.subjects.norm import load_norm
    from ics_bench.training import Problem

    data = load_data(case)
    plain = {OPTIONS[axis]: case[axis] for axis in ("depth", "width", "norm_position", "activation") if axis in case}
    initialize = cast("Initializer", INITIALIZERS.load(case.text("init")))
    norm_layer = load_norm(case.text("norm")).build

    def build(seed: int) -> nn.Module:
        chosen = {
            "in_features": data.x.shape[1],
            "num_classes": data.num_classes,
            "norm_layer": norm_layer,
            "initialize": initialize,
            "generator": torch.Generator().manual_seed(workload.seed_for(case, seed, "weights")),
            **plain,
            **options,
        }
        return build_model(case.text("architecture"), **chosen)

    return Problem(data.x.to(device), data.y.to(device), build, lambda seed: workload.seed_for(case, seed, "order"))


def not_taken(case: Case, axes: Iterable[str] = OPTIONS) -> Iterator[str]:
    """Warn of axes that a model of the user's does not take: its arms along them are one net."""
    from ics_bench.subjects.model import ignored_options

    options = {axis: OPTIONS[axis] for axis in axes if axis in case}
    ignored = ignored_options(case.text("architecture"), options.values())
    for axis, option in options.items():
        if option in ignored:
            yield f"the model takes no {option}: cases that differ in {axis} alone are one net"


def no_positions(workload: Workload, case: Case) -> str | None:
    """Say why a case's model cannot have its norm, if that averages over positions and the model does not convolve.

    A case without an architecture is a perceptron's.
    """
    from torch.nn.modules.conv import _ConvNd

    from ics_bench.subjects.norm import load_norm

    if not load_norm(case.text("norm")).needs_spatial:
        return None
    if "architecture" in case:
        model = problem_of(workload, Case.of({**case, "norm": "none"}), "cpu").build(0)
        if any(isinstance(module, _ConvNd) for module in model.modules()):
            return None
    net = case.text("architecture") if "architecture" in case else "perceptron"
    return f"norm {case['norm']!r} averages over positions; the features of {net!r} have none"
