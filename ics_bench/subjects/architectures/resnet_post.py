"""A convolutional residual net whose last norm of each block stands behind the addition."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ics_bench.subjects.resnet import Block, ResNet


class PostBlock(nn.Module):
    """act(norm(shortcut(x) + branch(x))): "BN after addition" of He et al. 2016 (arXiv:1603.05027, table 2).

    Takes over the parts of a block of the original order; its last norm moves from the branch's end to the
    other side of the addition.
    """

    residual_block = True

    def __init__(self, block: Block) -> None:
        super().__init__()
        *branch, norm = block.branch.children()
        self.branch = nn.Sequential(*branch)
        self.shortcut, self.norm, self.activation = block.shortcut, norm, block.activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C_in, H, W)`` to what the original block gives in shape."""
        y: torch.Tensor = self.activation(self.norm(self.shortcut(x) + self.branch(x)))
        return y


def build(**options: Any) -> ResNet:
    """Return `ResNet` with the last norm of each block behind the addition, and the same weights.

    Raises
    ------
    ValueError
        For ``norm_position="after"``, where `ResNet` has no norm at the branch's end to move.
    """
    if options.get("norm_position", "before") != "before":
        raise ValueError("norm_position='after': a norm behind addition and activation is resnet's own option")
    net = ResNet(**options)
    net.blocks = nn.Sequential(*(PostBlock(block) for block in net.blocks if isinstance(block, Block)))
    return net
