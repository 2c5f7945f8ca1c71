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
        Training inputs ``(N, *features)`` in float32 and labels ``(N,)`` in int64; or tokens ``(N, T)`` in
        int64 and a label for each, ``(N, T)``, of which -100 stands for none; or, for regression, inputs
        and targets ``(N, D)`` in float32.
    x_test, y_test : Tensor
        Held-out samples, in the same form.
    num_classes : int
        Outputs of a net for these data: classes, or D.
    """

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    num_classes: int
