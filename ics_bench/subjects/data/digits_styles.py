"""Digits, each image with a contrast and a brightness of its own."""

from __future__ import annotations

import functools
import math

import torch

from ics_bench.core import derive_seed
from ics_bench.subjects.data.digits import load as load_digits
from ics_bench.subjects.dataset import Dataset

LARGEST_GAIN = 4.0
"""Contrasts are log-uniform between its reciprocal and it."""

OFFSET_STD = 1.0
"""Brightnesses are normal with this standard deviation, in that of the plain digits' pixels."""


@functools.cache
def load(seed: int = 0) -> Dataset:
    """Return the digits with every image x replaced by g·x + o, in training and test alike.

    The class does not depend on g and o, which a norm over the positions of one image takes out again.
    ``seed`` picks g and o; the split is that of the digits.
    """
    generator = torch.Generator().manual_seed(derive_seed("digits_styles", seed))
    plain = load_digits()
    x, x_test = (_restyle(images, generator) for images in (plain.x, plain.x_test))
    return Dataset(x, plain.y, x_test, plain.y_test, plain.num_classes)


def _restyle(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    exponent = 2.0 * torch.rand(len(x), 1, generator=generator) - 1.0
    offset = OFFSET_STD * torch.randn(len(x), 1, generator=generator)
    return x * torch.exp(exponent * math.log(LARGEST_GAIN)) + offset
