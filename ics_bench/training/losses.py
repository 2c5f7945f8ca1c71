"""What is minimized: cross-entropy, squared error, or whatever the module itself puts out.

Everything leads with the replica axis ``R``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch.nn.functional import cross_entropy

IGNORED = -100
"""Label of a token that has no target, as in `torch.nn.CrossEntropyLoss`."""


class Loss(ABC):
    """A loss that is the mean of terms, replica by replica.

    Attributes
    ----------
    counts_accuracy : bool
        Whether outputs are right or wrong, so that a target accuracy means anything.
    signed : bool
        Whether values below zero are usual: a multiple of the initial one then bounds nothing, and
        only a loss that is not finite is divergence.
    """

    counts_accuracy: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    @abstractmethod
    def terms(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compute the terms ``(R, B, ...)`` of the loss of ``output`` against ``y``, both leading with ``(R, B)``."""

    def mean(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Loss ``(R,)`` of each replica."""
        return self.terms(output, y).flatten(1).mean(dim=1)

    def count(self, y: torch.Tensor) -> int:
        """Return how many terms the loss of targets ``(N, ...)`` has."""
        return y.numel()

    def wrong(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Count wrong answers ``(R,)`` in int64.

        Raises
        ------
        TypeError
            If the loss has no right and wrong.
        """
        raise TypeError(f"{type(self).__name__} has no right and wrong outputs")


class CrossEntropy(Loss):
    """Cross-entropy of logits ``(R, B, C)`` with labels ``(R, B)``, or of token logits ``(R, B, T, C)`` with ``(R, B, T)``.

    Tokens labelled -100 count neither in the loss nor in the accuracy.
    """  # noqa: E501

    counts_accuracy = True

    def terms(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compute the negative log-likelihoods of the labels, 0 where ignored."""
        if output.shape[:-1] != y.shape:
            raise ValueError(
                f"logits {tuple(output.shape)} do not fit labels {tuple(y.shape)}: one axis more, at the end"
            )
        return cross_entropy(output.flatten(0, -2), y.flatten(), reduction="none", ignore_index=IGNORED).view(y.shape)

    def mean(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Mean over samples, or over the tokens that are not ignored."""
        terms = self.terms(output, y)
        if y.dim() == 2:
            return terms.mean(dim=1)
        return terms.flatten(1).sum(dim=1) / (y != IGNORED).flatten(1).sum(dim=1)

    def count(self, y: torch.Tensor) -> int:
        """Return the number of labels that are not ignored."""
        return int((y != IGNORED).sum())

    def wrong(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Count labels, of those not ignored, that have not the largest logit."""
        return ((output.argmax(dim=-1) != y) & (y != IGNORED)).flatten(1).sum(dim=1)


class SquaredError(Loss):
    """Mean of (output - y)² over samples and features, both ``(R, B, D)``."""

    def terms(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compute squared differences."""
        if output.shape != y.shape:
            raise ValueError(f"output {tuple(output.shape)} and target {tuple(y.shape)} differ in shape")
        return (output - y).square()


class MeanOutput(Loss):
    """The module's output ``(R, B)`` or ``(R, B, 1)`` is the loss of each sample; targets are not looked at.

    A free-energy difference trained so is contrastive divergence (Hinton 2002).
    """

    signed = True

    def terms(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the output itself."""
        if output.numel() != output.shape[0] * output.shape[1]:
            raise ValueError(f"output {tuple(output.shape)} holds more than one number a sample")
        return output.flatten(1)

    def count(self, y: torch.Tensor) -> int:
        """Return the number of samples."""
        return len(y)


CROSS_ENTROPY = CrossEntropy()
SQUARED_ERROR = SquaredError()
MEAN_OUTPUT = MeanOutput()
