"""Residual nets for small images, and the same nets without their skips (He et al. 2016, arXiv:1512.03385)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from ics_bench.subjects.convolution import Images, channel_norm
from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import ACTIVATIONS, NormPosition
from ics_bench.subjects.norm import NormLayer

NormFree = Literal["", "skipinit", "fixup"]
"""How a branch is tamed without a norm: not at all, or by one of two later recipes."""

BOTTLENECK_LAYOUTS: dict[int, tuple[int, ...]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of three convolutions (1×1, 3×3, 1×1) in each of four stages, by depth: their table 1."""

EXPANSION = 4
"""Channels that a bottleneck block puts out for each that its 3×3 convolution has."""


def layout(depth: int) -> tuple[tuple[int, ...], bool]:
    """Blocks in each stage, and whether they are bottlenecks.

    Depths 50, 101 and 152 are those of ImageNet's nets; any other 6n + 2 is one of CIFAR's (their
    section 4.2): three stages of n blocks of two 3×3 convolutions.

    Raises
    ------
    ValueError
        For a depth that no net of the paper's two families has.

    Examples
    --------
    >>> layout(20), layout(152)
    (((3, 3, 3), False), ((3, 8, 36, 3), True))
    """
    if depth in BOTTLENECK_LAYOUTS:
        return BOTTLENECK_LAYOUTS[depth], True
    blocks, left = divmod(depth - 2, 6)
    if left or blocks < 1:
        raise ValueError(f"depth={depth}: residual nets have depth 6n + 2 (8, 14, 20, ...), 50, 101 or 152")
    return (blocks,) * 3, False


class Scalar(nn.Module):
    """One trained number, added to every value or multiplied with it."""

    def __init__(self, start: float, multiplies: bool) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((1,), start))
        self.multiplies = multiplies

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``value · x`` or ``x + value``."""
        return x * self.value if self.multiplies else x + self.value


class Block(nn.Module):
    """act(shortcut(x) + branch(x)), the original order; or act(branch(x)) without a skip.

    In the branch, a norm follows every convolution (``before``), so that the last one stands in front of
    the addition. With ``after`` every norm stands behind the activation instead: the last one behind the
    addition. ``skipinit`` ends the branch with a scalar that starts at 0; ``fixup`` puts a scalar bias in front
    of every convolution and activation, and a scalar gain that starts at 1 at the end.
    """

    def __init__(
        self,
        channels_in: int,
        widths: Sequence[int],
        kernels: Sequence[int],
        stride: int,
        norm_layer: NormLayer,
        activation: str,
        norm_position: NormPosition,
        skip: bool,
        norm_free: NormFree,
    ) -> None:
        super().__init__()
        fixup, norm_first = norm_free == "fixup", norm_position == "before"
        sizes = [channels_in, *widths]
        strided = kernels.index(3)
        branch: list[nn.Module] = []
        for place, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            last = place == len(widths) - 1
            kernel = kernels[place]
            convolution = nn.Conv2d(
                fan_in,
                fan_out,
                kernel,
                stride if place == strided else 1,
                padding=kernel // 2,
                bias=not fixup,
            )
            branch += [Scalar(0.0, multiplies=False)] * fixup + [convolution]
            branch += [channel_norm(norm_layer, fan_out)] * norm_first
            if not last:
                branch += [Scalar(0.0, multiplies=False)] * fixup + [ACTIVATIONS[activation]()]
                branch += [channel_norm(norm_layer, fan_out)] * (not norm_first)
        if norm_free:
            branch.append(Scalar(1.0 if fixup else 0.0, multiplies=True))
        if fixup:
            branch.append(Scalar(0.0, multiplies=False))
        self.branch = nn.Sequential(*branch)
        self.skip = self.residual_block = skip
        self.shortcut = nn.Sequential()
        if skip and (stride != 1 or channels_in != widths[-1]):
            self.shortcut.extend([Scalar(0.0, multiplies=False)] * fixup)
            self.shortcut.append(nn.Conv2d(channels_in, widths[-1], 1, stride, bias=not fixup))
            if norm_first:
                self.shortcut.append(channel_norm(norm_layer, widths[-1]))
        self.activation = ACTIVATIONS[activation]()
        self.norm = nn.Identity() if norm_first else channel_norm(norm_layer, widths[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, widths[-1], H / stride, W / stride)``."""
        y = self.branch(x)
        if self.skip:
            y = y + self.shortcut(x)
        z: torch.Tensor = self.norm(self.activation(y))
        return z


class ResNet(nn.Module):
    """A residual net: depth and blocks are the paper's, width is scaled down, the stem is 3×3 without pooling.

    Shortcuts that change shape are 1×1 convolutions (the paper's option B); they lie beside the longest
    path and do not count as depth. Convolutions keep their bias in front of a norm, so that nets with and
    without one draw the same weights.

    Parameters
    ----------
    in_features, num_classes : int
        Flat square images of 64 pixels or more.
    depth : int
        Weight layers on the longest path: 6n + 2, or 50, 101, 152; see `layout`.
    width : int
        Channels of the first stage; bottleneck blocks put out four times as many. Each stage doubles them.
    norm_layer, norm_position
    initialize, generator
        Fills every convolution and the head, in order, from one generator.
    activation : str
    skip : bool
        Whether blocks add what came in; without it this is the paper's plain net.
    norm_free : {"", "skipinit", "fixup"}
        SkipInit (De & Smith 2020, arXiv:2002.10444) or Fixup (Zhang et al. 2019, arXiv:1901.09321), which
        scales the weights it is given by L^(-1/(2m-2)) in L branches of m convolutions and starts the last
        of each, and the head, at 0.

    Raises
    ------
    ValueError
        For a depth that the family lacks, or images that are not square.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        depth: int,
        width: int,
        norm_layer: NormLayer,
        initialize: Initializer,
        generator: torch.Generator,
        activation: str = "relu",
        norm_position: NormPosition = "before",
        skip: bool = True,
        norm_free: NormFree = "",
    ) -> None:
        super().__init__()
        stages, bottleneck = layout(depth)
        fixup, norm_first = norm_free == "fixup", norm_position == "before"
        stem: list[nn.Module] = [Images(in_features), nn.Conv2d(1, width, 3, padding=1, bias=not fixup)]
        stem += [channel_norm(norm_layer, width)] * norm_first
        stem += [Scalar(0.0, multiplies=False)] * fixup + [ACTIVATIONS[activation]()]
        stem += [channel_norm(norm_layer, width)] * (not norm_first)
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.Sequential()
        channels = width
        for stage, blocks in enumerate(stages):
            inner = width * 2**stage
            widths = (inner, inner, EXPANSION * inner) if bottleneck else (inner, inner)
            kernels = (1, 3, 1) if bottleneck else (3, 3)
            for number in range(blocks):
                stride = 2 if stage and not number else 1
                self.blocks.append(
                    Block(channels, widths, kernels, stride, norm_layer, activation, norm_position, skip, norm_free)
                )
                channels = widths[-1]
        self.before_head = Scalar(0.0, multiplies=False) if fixup else nn.Identity()
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                initialize(module, generator)
        if fixup:
            self._fixup()

    @torch.no_grad()
    def _fixup(self) -> None:
        for block in self.blocks:
            *others, last = [m for m in block.branch.children() if isinstance(m, nn.Conv2d)]  # type: ignore[union-attr]
            for convolution in others:
                convolution.weight.mul_(len(self.blocks) ** (-1 / (2 * len(others))))
            last.weight.zero_()
        self.head.weight.zero_()
        self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_features)`` to logits ``(N, num_classes)``."""
        features = self.blocks(self.stem(x)).mean(dim=(-2, -1))
        logits: torch.Tensor = self.head(self.before_head(features))
        return logits
