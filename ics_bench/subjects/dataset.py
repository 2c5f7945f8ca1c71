"""What a data set is to this suite."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Dataset:
    """Inputs and labels, split once and for all.

    Parameters
    ----------
    x, y : Tensor
        Training inputs ``(N, *features)`` in float32 and labels ``(N,)`` in int64.
    x_test, y_test : Tensor
        Held-out samples, in the same form.
    num_classes : int
    """

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    num_classes: int
