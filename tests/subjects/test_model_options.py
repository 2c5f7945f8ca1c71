"""Factories get the options that they name; the others are told."""

import functools
import sys

import pytest
import torch
from torch import nn

from ics_bench.core import UsageError
from ics_bench.subjects import ARCHITECTURES
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model, ignored_options, residual_blocks
from ics_bench.subjects.norm import load_norm

OPTIONS = {"in_features": 6, "num_classes": 3, "depth": 4, "width": 8, "generator": torch.Generator()}


def takes_two(in_features, num_classes):
    return nn.Linear(in_features, num_classes)


def takes_all(**options):
    return nn.Linear(options["in_features"], options["width"])


def takes_defaults(in_features, *, num_classes=2, dropout=0.1):
    return nn.Linear(in_features, num_classes)


def takes_by_position(width, /, in_features, *rest):
    return nn.Linear(in_features, width)


@pytest.mark.parametrize(
    ("factory", "ignored"),
    [
        (takes_two, ("depth", "width", "generator")),
        (takes_all, ()),
        (takes_defaults, ("depth", "width", "generator")),
        (takes_by_position, ("num_classes", "depth", "width", "generator")),
        (functools.partial(takes_two, num_classes=5), ("depth", "width", "generator")),
    ],
)
def test_the_options_that_a_factory_does_not_take_are_told(monkeypatch, factory, ignored):
    monkeypatch.setattr(ARCHITECTURES, "_objects", {"mine": factory})
    assert ignored_options("mine", OPTIONS) == ignored


def test_a_factory_gets_what_it_takes_and_nothing_else(monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "_objects", {"two": takes_two, "all": takes_all})
    assert build_model("two", **OPTIONS).out_features == 3
    assert build_model("all", **OPTIONS).out_features == 8


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES.builtin() if not name.startswith("transformer")])
def test_our_models_take_everything(name):
    known = ("depth", "width", "norm_layer", "norm_position", "initialize", "generator", "in_features", "num_classes")
    assert ignored_options(name, known) == ()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="which built-in types tell their signature has changed")
def test_a_factory_that_does_not_tell_its_parameters_is_refused(monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "_objects", {"mine": dict, "number": 3})
    with pytest.raises(UsageError, match="does not tell which options it takes"):
        ignored_options("mine", OPTIONS)
    with pytest.raises(UsageError, match="expected a factory"):
        ignored_options("number", OPTIONS)


@pytest.mark.parametrize(
    ("model", "depth", "blocks"),
    [
        ("plain", 6, 0),
        ("residual", 6, 4),
        ("residual_post", 6, 4),
        ("residual_skipinit", 6, 4),
        ("residual_fixup", 6, 2),
        ("resnet", 8, 3),
        ("resnet_post", 8, 3),
        ("resnet_plain", 8, 0),
        ("resnet", 152, 50),
        ("transformer_pre", 10, 2),
    ],
)
def test_residual_blocks_are_those_of_the_depths_formula(model, depth, blocks):
    options = {"in_features": 64, "num_classes": 10, "depth": depth, "width": 8, "norm_layer": load_norm("batch").build}
    built = build_model(model, **options, initialize=he, generator=torch.Generator().manual_seed(0))
    assert residual_blocks(built) == blocks
