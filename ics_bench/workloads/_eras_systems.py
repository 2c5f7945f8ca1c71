"""The systems that once trained the deepest nets, and their counterfactuals: what each was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Start = Literal["drawn", "boltzmann", "staged"]

PERCEPTRON_WIDTH = 64
CHANNELS = 4
"""Channels of a convolutional net's first stage."""

ALEXNET_CHANNELS = 8
"""Half of its dense features are dropped in training, and VGG's four channels leave it too few."""


BOTTLENECKS = (50, 101, 152)
VGG_DEPTHS = (11, 13, 16, 19)
"""As in `ics_bench.subjects.resnet` and `.vgg`, which import torch; a test holds them together."""


@dataclass(frozen=True, slots=True)
class System:
    """A net, its initial weights and its tricks.

    Parameters
    ----------
    summary : str
        One line.
    architecture, norm, init : str
        Names of subjects.
    depths : tuple of int
        The depths tried for the feasible depth, ascending.
    options : mapping
        Further options of the architecture.
    start : {"drawn", "boltzmann", "staged"}
        Whether the weights are those drawn, or trained before: layer by layer without labels, or within a
        shallower net.
    same_steps : bool
        Whether the supervised budget grows by what pre-training would have taken.
    """

    summary: str
    architecture: str
    norm: str
    init: str
    depths: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    start: Start = "drawn"
    same_steps: bool = False

    @property
    def convolutional(self) -> bool:
        """Whether it takes square images."""
        return self.architecture in ("alexnet", "vgg") or self.architecture.startswith("resnet")

    @property
    def runs_together(self) -> bool:
        """Whether `torch.func.vmap` computes what the net computes alone.

        It does for all convolutional nets without dropout, as a test shows in float64; trying it out in float32
        would tell otherwise of the deepest, which amplify rounding.
        """
        return self.convolutional and (self.architecture != "alexnet" or self.options.get("dropout") == 0.0)

    def has_depth(self, depth: int) -> bool:
        """Whether the architecture has a net of this depth."""
        if self.architecture.startswith("resnet"):
            return depth in BOTTLENECKS or (depth > 2 and depth % 6 == 2)
        if self.architecture == "vgg":
            return depth in VGG_DEPTHS
        if self.architecture.startswith("residual"):
            return depth > 2 and (self.architecture != "residual_fixup" or depth % 2 == 0)
        return depth == self.depths[0] if self.architecture == "alexnet" else depth >= 2

    def ladder(self, deepest: int) -> tuple[int, ...]:
        """List the depths tried for the feasible depth, up to the deepest and with it."""
        return (*(depth for depth in self.depths if depth < deepest), deepest)

    @property
    def width(self) -> int:
        """Features of a hidden layer, or channels of the first stage."""
        if self.architecture == "alexnet":
            return ALEXNET_CHANNELS
        return CHANNELS if self.convolutional else PERCEPTRON_WIDTH


_SIGMOID: dict[str, Any] = {"architecture": "belief", "norm": "none", "init": "default", "depths": (3, 5, 7, 10)}
_TANH: dict[str, Any] = {
    "architecture": "plain",
    "norm": "none",
    "depths": (3, 5, 8, 10, 20),
    "options": {"activation": "tanh"},
}
_RELU: dict[str, Any] = {"architecture": "plain", "depths": (5, 10, 20, 30, 50)}
_ALEXNET: dict[str, Any] = {"architecture": "alexnet", "norm": "none", "init": "he", "depths": (8,)}
_VGG: dict[str, Any] = {"architecture": "vgg", "depths": (11, 16, 19)}
_RESIDUAL_DEPTHS = (8, 20, 52, 102, 152)
_RESNET_DEPTHS = (8, 20, 32, 56)

SYSTEMS: dict[str, System] = {
    "belief": System(
        "sigmoid layers, pre-trained one by one by CD-1 (Hinton et al. 2006)", **_SIGMOID, start="boltzmann"
    ),
    "sigmoid": System("the same sigmoid layers without pre-training", **_SIGMOID),
    "sigmoid_same_steps": System(
        "without pre-training, its steps spent on supervised ones", **_SIGMOID, same_steps=True
    ),
    "tanh_xavier": System("tanh, Xavier's initialization (Glorot & Bengio 2010)", init="xavier", **_TANH),
    "tanh_uniform": System("tanh, weights uniform in ±1/√fan_in, the usage before", init="default", **_TANH),
    "tanh_small": System("tanh, weights N(0, 0.01²)", init="normal-0.01", **_TANH),
    "alexnet": System("ReLU, response normalization, dropout (Krizhevsky et al. 2012)", **_ALEXNET),
    "alexnet_tanh": System("the same with tanh", **_ALEXNET, options={"activation": "tanh"}),
    "alexnet_no_dropout": System("the same without dropout", **_ALEXNET, options={"dropout": 0.0}),
    "alexnet_tanh_no_dropout": System(
        "the same with tanh and without dropout", **_ALEXNET, options={"activation": "tanh", "dropout": 0.0}
    ),
    "alexnet_no_response_norm": System(
        "the same without dropout and response normalization",
        **_ALEXNET,
        options={"dropout": 0.0, "response_norm": False},
    ),
    "alexnet_before": System(
        "the same without all of it: tanh, weights uniform in ±1/√fan_in, no dropout, no response normalization",
        **{**_ALEXNET, "init": "default"},
        options={"activation": "tanh", "dropout": 0.0, "response_norm": False},
    ),
    "vgg_default": System("VGG, weights uniform in ±1/√fan_in", norm="none", init="default", **_VGG),
    "vgg_he": System("VGG, He's initialization (2015)", norm="none", init="he", **_VGG),
    "vgg_staged": System(
        "VGG, He's initialization, started from a trained VGG-11 (Simonyan & Zisserman 2015)",
        norm="none",
        init="he",
        start="staged",
        **_VGG,
    ),
    "vgg_batch": System("VGG with batch norm, weights uniform in ±1/√fan_in", norm="batch", init="default", **_VGG),
    "relu": System("ReLU perceptron, He's initialization", norm="none", init="he", **_RELU),
    "relu_batch": System("the same with batch norm (Ioffe & Szegedy 2015)", norm="batch", init="he", **_RELU),
    **{
        f"residual_{name}": System(
            f"residual ReLU perceptron, {summary}",
            architecture=architecture,
            norm=norm,
            init="he",
            depths=_RESIDUAL_DEPTHS,
        )
        for name, architecture, norm, summary in (
            ("batch", "residual", "batch", "batch norm"),
            ("none", "residual", "none", "no norm"),
            ("skipinit", "residual_skipinit", "none", "no norm, branches that start at zero (De & Smith 2020)"),
            ("fixup", "residual_fixup", "none", "no norm, Fixup (Zhang et al. 2019)"),
        )
    },
    **{
        f"{kind}_{norm}": System(
            f"{'residual' if kind == 'resnet' else 'the same chain of convolutions without skips'}, "
            f"{'batch norm' if norm == 'batch' else 'no norm'} (He et al. 2016)",
            architecture="resnet" if kind == "resnet" else "resnet_plain",
            norm=norm,
            init="he",
            depths=_RESNET_DEPTHS,
        )
        for kind in ("resnet", "chain")
        for norm in ("batch", "none")
    },
    "resnet_skipinit": System(
        "residual, no norm, branches that start at zero (De & Smith 2020)",
        architecture="resnet_skipinit",
        norm="none",
        init="he",
        depths=_RESNET_DEPTHS,
    ),
    "resnet_fixup": System(
        "residual, no norm, Fixup (Zhang et al. 2019)",
        architecture="resnet_fixup",
        norm="none",
        init="he",
        depths=_RESNET_DEPTHS,
    ),
}
