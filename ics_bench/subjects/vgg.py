"""VGG nets: stages of 3×3 convolutions, then three dense layers (Simonyan & Zisserman 2015, arXiv:1409.1556)."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.convolution import ConvUnit, Images, initialize_all
from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import ACTIVATIONS, NormPosition
from ics_bench.subjects.norm import NormLayer

LAYOUTS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions in each of the five stages, by depth: configurations A, B, D and E of their table 1."""

WIDTHS = (1, 2, 4, 8, 8)
"""Channels of the stages in units of the first one's: 64, 128, 256, 512, 512 in the paper."""

DENSE_WIDTH = 8
"""Features of the two hidden dense layers in units of the first stage's channels; 64 in the paper."""

POOLED_STAGES = (2, 3, 5)
"""Stages that end in 2×2 max pooling. All five do in the paper, on 224×224 pixels; 8×8 can be halved three times,
and these three leave every stage more than one pixel: 8, 8, 4, 2, 2."""

STAGED_FROM = 11
"""Depth of the net that the deeper ones are started from: configuration A."""


class VGG(nn.Module):
    """A VGG net for small images: depth and filters are the paper's, width and pooling are scaled down.

    Parameters
    ----------
    in_features, num_classes : int
        Flat square images of 64 pixels or more.
    depth : {11, 13, 16, 19}
        Weight layers, the three dense ones included.
    width : int
        Channels of the first stage.
    norm_layer, norm_position
        After every convolution, on either side of its activation; ``none`` is the paper's net.
    initialize, generator
        Fills every layer, in order, from one generator.
    activation : str
    dropout : float
        Share of the hidden dense features that training drops; 0.5 in the paper. Nothing here is trained
        for long enough to overfit, so 0 is the default.

    Raises
    ------
    ValueError
        For another depth, or images that are not square or too small to be halved three times.
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
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth not in LAYOUTS:
            raise ValueError(f"depth={depth}: VGG nets have depth {', '.join(map(str, LAYOUTS))}")
        images = Images(in_features)
        side = images.side >> len(POOLED_STAGES)
        if side < 1:
            raise ValueError(f"in_features={in_features}: VGG halves its images three times and needs 64 at least")
        self.stages = nn.Sequential(images)
        channels = 1
        for number, (convolutions, factor) in enumerate(zip(LAYOUTS[depth], WIDTHS, strict=True), start=1):
            stage = nn.Sequential()
            for _ in range(convolutions):
                stage.append(ConvUnit(channels, width * factor, norm_layer, activation, norm_position))
                channels = width * factor
            if number in POOLED_STAGES:
                stage.append(nn.MaxPool2d(2))
            self.stages.append(stage)
        hidden = DENSE_WIDTH * width
        self.dense = nn.Sequential(nn.Flatten())
        for fan_in in (channels * side**2, hidden):
            self.dense.extend([nn.Linear(fan_in, hidden), ACTIVATIONS[activation]()])
            if dropout:
                self.dense.append(nn.Dropout(dropout))
        self.dense.append(nn.Linear(hidden, num_classes))
        initialize_all(self, initialize, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_features)`` to logits ``(N, num_classes)``."""
        logits: torch.Tensor = self.dense(self.stages(x))
        return logits


@torch.no_grad()
def start_from(deep: VGG, shallow: VGG) -> None:
    """Copy a trained net's first four convolutions and its dense layers into a deeper one (their section 3.1).

    The paper does not say which convolutions of the deeper net its first four become, and the first four of
    configurations A and E differ in shape. Here each goes where its stage begins: the first of stages 1 to 3
    and the second of stage 3. The others keep the weights that they were given.
    """
    for stage, convolutions in ((1, 1), (2, 1), (3, 2)):
        for place in range(convolutions):
            deep.stages[stage][place].load_state_dict(shallow.stages[stage][place].state_dict())  # type: ignore[index]
    deep.dense.load_state_dict(shallow.dense.state_dict())
