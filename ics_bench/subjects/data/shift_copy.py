"""Token sequences to be copied with a lag of three: y_t = x_{t−3}, over 16 symbols."""

from __future__ import annotations

import functools

import torch

from ics_bench.core import derive_seed
from ics_bench.subjects.dataset import Dataset

NUM_SYMBOLS = 16
LAG = 3
IGNORED = -100
"""Label of a position that has no answer; cross-entropy leaves it out."""


@functools.cache
def load(seed: int = 0, samples: int = 128, length: int = 8) -> Dataset:
    """Draw ``samples`` training and a quarter as many test sequences of uniform, independent symbols.

    Nothing but attention to the position three back predicts a label: a model that does not attend stays
    at a loss of ln 16.

    Returns
    -------
    Dataset
        Tokens ``(N, length)`` in int64, and labels of the same shape, the first three ignored.

    Raises
    ------
    ValueError
        If sequences are too short to hold a label.
    """
    if length <= LAG:
        raise ValueError(f"length={length}: a lag of {LAG} needs at least {LAG + 1} tokens")
    generator = torch.Generator().manual_seed(derive_seed("shift_copy", seed))
    total = samples + samples // 4
    x = torch.randint(NUM_SYMBOLS, (total, length), generator=generator)
    y = torch.full_like(x, IGNORED)
    y[:, LAG:] = x[:, :-LAG]
    return Dataset(x[:samples], y[:samples], x[samples:], y[samples:], NUM_SYMBOLS)
