"""Causal transformers for token sequences, with the norm at any of four places of a residual branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.norm import NormLayer

Placement = Literal["post", "pre", "sandwich", "deepnorm"]

MATRICES_PER_BLOCK = 4
"""On the longest path: query or value, attention output, and the two of the feed-forward branch."""

MATRICES_AROUND = 2
"""Embedding and head."""

HEADS = 4
HIDDEN_FACTOR = 4


def blocks_of(depth: int) -> int:
    """Blocks of a transformer with ``depth`` weight matrices on its longest path.

    Raises
    ------
    ValueError
        If no whole number of blocks, at least one, has that depth.
    """
    blocks, left = divmod(depth - MATRICES_AROUND, MATRICES_PER_BLOCK)
    if left or blocks < 1:
        raise ValueError(f"depth={depth}: a transformer of n blocks has 4n + 2 weight matrices, n ≥ 1")
    return blocks


def depth_of(blocks: int) -> int:
    """Weight matrices on the longest path of a transformer with ``blocks`` blocks."""
    return MATRICES_PER_BLOCK * blocks + MATRICES_AROUND


@dataclass(frozen=True, slots=True)
class Scales:
    """DeepNorm's two constants: the weight α of the skip connection and the gain β of the initial weights."""

    skip: float = 1.0
    gain: float = 1.0

    @classmethod
    def deepnorm(cls, blocks: int) -> Scales:
        """α = (2M)^¼ and β = (8M)^−¼ for a decoder of M blocks (Wang et al. 2022, arXiv:2203.00555, figure 2)."""
        return cls(skip=(2 * blocks) ** 0.25, gain=(8 * blocks) ** -0.25)


class Attention(nn.Module):
    """Causal multi-head self-attention (Vaswani et al. 2017, section 3.2.2)."""

    any_leading_axes = True

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads, self.length = heads, length
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Map ``(B·T, width)``, a sequence's tokens in a row, to the same shape."""
        rows, width = h.shape[-2:]
        size = width // self.heads
        split = self.query_key_value(h).reshape(-1, self.length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        query, key, value = split[0], split[1], split[2]
        # Written out: on a CPU, torch's fused attention has no rule for torch.func.vmap.
        future = torch.ones(self.length, self.length, dtype=torch.bool, device=h.device).triu(1)
        scores = (query @ key.mT * size**-0.5).masked_fill(future, -torch.inf)
        mixed = scores.softmax(dim=-1) @ value
        y: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(*h.shape[:-2], rows, width))
        return y


class FeedForward(nn.Module):
    """linear → ReLU → linear, position by position, four times as wide in the middle."""

    any_leading_axes = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, HIDDEN_FACTOR * width)
        self.outer = nn.Linear(HIDDEN_FACTOR * width, width)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Map ``(B·T, width)`` to the same shape."""
        y: torch.Tensor = self.outer(self.inner(h).relu())
        return y


class Branch(nn.Module):
    """One residual branch f with its norm N, at the place that the class is told.

    - *post*: N(x + f(x)) (Vaswani et al. 2017).
    - *pre*: x + f(N(x)) (Xiong et al. 2020, arXiv:2002.04745, figure 1).
    - *sandwich*: x + N(f(N(x))), the two norms each with its own parameters (Ding et al. 2021, arXiv:2105.13290).
    - *deepnorm*: N(αx + f(x)) (Wang et al. 2022, arXiv:2203.00555).
    """

    any_leading_axes = True

    def __init__(self, body: nn.Module, width: int, norm_layer: NormLayer, placement: Placement, skip: float) -> None:
        super().__init__()
        # In the order in which they compute, which is the order in which `layers_of` reads them.
        self.first = norm_layer(width) if placement in ("pre", "sandwich") else nn.Identity()
        self.body = body
        self.last = norm_layer(width) if placement == "sandwich" else nn.Identity()
        self.joined = norm_layer(width) if placement in ("post", "deepnorm") else nn.Identity()
        self.skip = skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B·T, width)`` to the same shape."""
        branch: torch.Tensor = self.last(self.body(self.first(x)))
        y: torch.Tensor = self.joined(branch + x if self.skip == 1.0 else torch.add(branch, x, alpha=self.skip))
        return y


class Block(nn.Sequential):
    """Attention, then feed-forward, each in a residual branch."""

    any_leading_axes = True
    residual_block = True


class Transformer(nn.Module):
    """A causal transformer over tokens: learned symbols and positions, ``depth`` weight matrices on the longest path.

    Parameters
    ----------
    in_features : int
        Length T of the sequences.
    num_classes : int
        Symbols, of input and output alike.
    depth : int
        Weight matrices on the longest path, embedding and head included: 4 a block, and 2.
    width : int
        Features of a token; a multiple of the heads.
    norm_layer : callable
        ``norm_layer(num_features) -> nn.Module``. It sees tokens as rows, ``(B·T, width)``.
    placement : {"post", "pre", "sandwich", "deepnorm"}
        See `Branch`. Where nothing is normalized after the last addition (pre, sandwich), a last norm stands
        before the head.
    initialize, generator
        Fills every matrix, query, key and value each by itself, from one generator: nets that differ in their
        norm or its placement alone draw the same weights, but for DeepNorm's gain on value, attention
        output and feed-forward. Symbols and positions are N(0, ½) each, so that tokens enter with unit
        variance, whatever ``initialize`` is.
    heads : int

    Raises
    ------
    ValueError
        If the depth does not make whole blocks, or the heads do not divide the width.
    """

    any_leading_axes = True

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        depth: int,
        width: int,
        norm_layer: NormLayer,
        placement: Placement,
        initialize: Initializer,
        generator: torch.Generator,
        heads: int = HEADS,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} is not a multiple of the {heads} heads")
        blocks = blocks_of(depth)
        scales = Scales.deepnorm(blocks) if placement == "deepnorm" else Scales()
        self.num_symbols, self.length = num_classes, in_features
        self.embedding = nn.Linear(num_classes + in_features, width)
        self.blocks = nn.Sequential(
            *(
                Block(
                    Branch(Attention(width, heads, in_features), width, norm_layer, placement, scales.skip),
                    Branch(FeedForward(width), width, norm_layer, placement, scales.skip),
                )
                for _ in range(blocks)
            )
        )
        self.final = norm_layer(width) if placement in ("pre", "sandwich") else nn.Identity()
        self.head = nn.Linear(width, num_classes)
        self._initialize(initialize, generator, scales.gain)

    @torch.no_grad()
    def _initialize(self, initialize: Initializer, generator: torch.Generator, gain: float) -> None:
        self.embedding.weight.normal_(0.0, 0.5**0.5, generator=generator)
        self.embedding.bias.zero_()
        for module in self.blocks.modules():
            if isinstance(module, Attention):
                _initialize_thirds(module.query_key_value, initialize, generator)
                initialize(module.output, generator)
                module.query_key_value.weight[2 * len(module.output.weight) :].mul_(gain)  # the value alone
                module.output.weight.mul_(gain)
            elif isinstance(module, FeedForward):
                for layer in (module.inner, module.outer):
                    initialize(layer, generator)
                    layer.weight.mul_(gain)
        initialize(self.head, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens ``(B, T)`` in int64 to logits ``(B, T, symbols)``; leading axes before B are kept."""
        dtype, device = self.head.weight.dtype, x.device
        symbols = x.unsqueeze(-1) == torch.arange(self.num_symbols, device=device)
        positions = torch.eye(self.length, dtype=torch.bool, device=device).expand(*x.shape, self.length)
        # Tokens as rows: linear layers and norms, alone or stacked over replicas, take (rows, features).
        rows = torch.cat((symbols, positions), dim=-1).to(dtype).flatten(-3, -2)
        logits: torch.Tensor = self.head(self.final(self.blocks(self.embedding(rows))))
        return logits.reshape(*x.shape, self.num_symbols)


def _initialize_thirds(fused: nn.Linear, initialize: Initializer, generator: torch.Generator) -> None:
    """Draw query, key and value as square layers of their own: an initializer reads fans off a layer's shape."""
    width = fused.in_features
    for weight, bias in zip(fused.weight.chunk(3), fused.bias.chunk(3), strict=True):
        layer = nn.Linear(width, width, dtype=weight.dtype)
        initialize(layer, generator)
        weight.copy_(layer.weight)
        bias.copy_(layer.bias)
