"""Residual perceptrons that train without a norm, by how their branches start."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import ACTIVATIONS, NormPosition
from ics_bench.subjects.norm import NormLayer
from ics_bench.subjects.resnet import Scalar

BranchStart = Literal["fixup", "skipinit", "rezero", "zero_last"]

MATRICES_PER_BLOCK: dict[BranchStart, int] = {"fixup": 2, "skipinit": 1, "rezero": 1, "zero_last": 2}
"""One as in `MLP`'s residual blocks, two where the recipe treats the last matrix of a branch apart."""


def blocks_of(depth: int, recipe: BranchStart) -> int:
    """Blocks of a net with ``depth`` weight matrices, those of stem and head included.

    Raises
    ------
    ValueError
        If no whole number of blocks, at least one, has that depth.
    """
    each = MATRICES_PER_BLOCK[recipe]
    blocks, left = divmod(depth - 2, each)
    if left or blocks < 1:
        form = "n + 2" if each == 1 else f"{each}n + 2"
        raise ValueError(f"depth={depth}: a {recipe} perceptron of n blocks has {form} weight matrices, n ≥ 1")
    return blocks


def _shift(fixup: bool) -> nn.Module:
    """Return Fixup's scalar bias, which stands in front of every matrix and activation."""
    return Scalar(0.0, multiplies=False) if fixup else nn.Identity()


class _Step(nn.Module):
    """norm → activation → linear, the pre-activation order (``before``), or activation → norm → linear."""

    any_leading_axes = True

    def __init__(
        self, width: int, norm_layer: NormLayer, activation: str, norm_position: NormPosition, fixup: bool
    ) -> None:
        super().__init__()
        self.norm = norm_layer(width)
        self.before_activation = _shift(fixup)
        self.activation = ACTIVATIONS[activation]()
        self.before_linear = _shift(fixup)
        self.linear = nn.Linear(width, width, bias=not fixup)
        self.norm_first = norm_position == "before"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, width)`` to the same shape."""
        if self.norm_first:
            h = self.activation(self.before_activation(self.norm(x)))
        else:
            h = self.norm(self.activation(self.before_activation(x)))
        y: torch.Tensor = self.linear(self.before_linear(h))
        return y


class Block(nn.Module):
    """x + f(x), f one or two pre-activation steps; what else stands in f is the recipe's.

    - *skipinit*: f ends with a gain that starts at 0.
    - *rezero*: the same, but the activation follows the matrix: f(x) = α·φ(Wx).
    - *zero_last*: the last matrix of f starts at 0, the others as ``initialize`` has them.
    - *fixup*: likewise, the others scaled down, and f has scalar biases and a gain that starts at 1.
    """

    any_leading_axes = True
    residual_block = True

    def __init__(
        self, width: int, norm_layer: NormLayer, activation: str, norm_position: NormPosition, recipe: BranchStart
    ) -> None:
        super().__init__()
        fixup = recipe == "fixup"
        branch: list[nn.Module]
        if recipe == "rezero":
            around = [norm_layer(width), ACTIVATIONS[activation]()]
            branch = [nn.Linear(width, width), *(around if norm_position == "before" else reversed(around))]
        else:
            branch = [
                _Step(width, norm_layer, activation, norm_position, fixup) for _ in range(MATRICES_PER_BLOCK[recipe])
            ]
        if recipe != "zero_last":
            branch.append(Scalar(1.0 if fixup else 0.0, multiplies=True))
        if fixup:
            branch.append(_shift(fixup))
        self.branch = nn.Sequential(*branch)

    def linears(self) -> list[nn.Linear]:
        """Matrices of the branch, in order."""
        return [module for module in self.branch.modules() if isinstance(module, nn.Linear)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, width)`` to the same shape."""
        y: torch.Tensor = x + self.branch(x)
        return y


class ResidualRecipe(nn.Module):
    """A residual perceptron with ``depth`` weight matrices that starts as the identity between stem and head.

    Parameters
    ----------
    in_features, num_classes, width : int
    depth : int
        Weight matrices, stem and head included: n + 2 for n blocks of one matrix (*skipinit*, *rezero*),
        2n + 2 for n blocks of two (*fixup*, *zero_last*).
    norm_layer : callable
        The recipes do without; where it stands is that of `MLP`'s residual blocks.
    recipe : {"fixup", "skipinit", "rezero", "zero_last"}
        Fixup (Zhang et al. 2019, arXiv:1901.09321): in L branches of m matrices, all but the last scaled by
        L^(−1/(2m−2)); the last and the head 0. SkipInit (De & Smith 2020, arXiv:2002.10444). ReZero
        (Bachlechner et al. 2020, arXiv:2003.04887). Zero-last: the last matrix of each branch 0, as Goyal
        et al. 2017 (arXiv:1706.02677) start the last batch norm's gain.
    initialize, generator
        Fills every linear layer, in order, from one generator; the recipe scales what it finds.
    activation : str
    norm_position : {"before", "after"}

    Raises
    ------
    ValueError
        If the depth does not make whole blocks.
    """

    any_leading_axes = True

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        depth: int,
        width: int,
        norm_layer: NormLayer,
        recipe: BranchStart,
        initialize: Initializer,
        generator: torch.Generator,
        activation: str = "relu",
        norm_position: NormPosition = "before",
    ) -> None:
        super().__init__()
        blocks, fixup = blocks_of(depth, recipe), recipe == "fixup"
        self.stem = nn.Linear(in_features, width, bias=not fixup)
        self.blocks = nn.Sequential(
            *(Block(width, norm_layer, activation, norm_position, recipe) for _ in range(blocks))
        )
        around = [norm_layer(width), ACTIVATIONS[activation]()]
        self.last = nn.Sequential(
            _shift(fixup), *(around if norm_position == "before" else reversed(around)), _shift(fixup)
        )
        self.head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialize(module, generator)
        self._start(recipe)

    @torch.no_grad()
    def _start(self, recipe: BranchStart) -> None:
        if recipe not in ("fixup", "zero_last"):
            return
        zeroed: list[nn.Linear] = [self.head] if recipe == "fixup" else []
        for block in self.blocks:
            assert isinstance(block, Block)
            *others, last = block.linears()
            zeroed.append(last)
            if recipe == "fixup":
                for linear in others:
                    linear.weight.mul_(len(self.blocks) ** (-1 / (2 * len(others))))
        for linear in zeroed:
            linear.weight.zero_()
            if linear.bias is not None:
                linear.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_features)`` to logits ``(N, num_classes)``."""
        logits: torch.Tensor = self.head(self.last(self.blocks(self.stem(x))))
        return logits
