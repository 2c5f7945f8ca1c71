"""Optimizers by name: ours with any decay rate, and anyone's, if it keeps replicas apart."""

import pytest
import torch

from ics_bench.core import UsageError
from ics_bench.subjects import OPTIMIZERS
from ics_bench.subjects.optimizer import check_optimizer, load_optimizer, state_tensors


@pytest.mark.parametrize("name", OPTIMIZERS.builtin())
def test_ours_keep_replicas_apart(name):
    check_optimizer(name)


def test_the_decay_rate_is_part_of_the_name():
    assert load_optimizer("adam-0.98")().beta2 == 0.98
    assert load_optimizer("momentum-0.5")().momentum == 0.5
    assert OPTIMIZERS.canonical("adam-0.980") == OPTIMIZERS.canonical("adam-9.8e-1") == "adam-0.98"
    assert [state_tensors(name) for name in ("sgd", "momentum-0.5", "adam-0.98")] == [0, 1, 2]
    for name in ("adam-1", "momentum-1.5"):
        with pytest.raises(UsageError, match=r"must lie in \[0, 1\)"):
            OPTIMIZERS.canonical(name)
    with pytest.raises(UsageError, match=r"unknown optimizer 'sgd-0\.9'"):
        OPTIMIZERS.canonical("sgd-0.9")


class SignDescent:
    """w ← w - η sign g: an optimizer of the user's."""

    def step(self, parameters, gradients, learning_rate):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(learning_rate[:, None] * gradient.sign())

    def keep(self, index):
        pass


class Mixing(SignDescent):
    """Takes the mean over replicas."""

    def step(self, parameters, gradients, learning_rate):
        super().step(parameters, [gradient + gradient.mean(0) for gradient in gradients], learning_rate)
        parameters[0].add_(gradients[0].mean(0))


class Forgetful(SignDescent):
    """Keeps a velocity of every replica, and those of the dropped."""

    def __init__(self):
        self.velocity = torch.zeros(2, 6)

    def step(self, parameters, gradients, learning_rate):
        self.velocity = self.velocity + gradients[0]
        parameters[0].sub_(self.velocity)


def test_an_optimizer_of_the_users_is_tried_first():
    OPTIMIZERS.verify(f"{__name__}:SignDescent")
    with pytest.raises(UsageError, match="updated differently in company"):
        OPTIMIZERS.verify(f"{__name__}:Mixing")
    with pytest.raises(UsageError, match="stepping two stacked parameters raised"):
        OPTIMIZERS.verify(f"{__name__}:Forgetful")
    with pytest.raises(UsageError, match="expected a factory"):
        OPTIMIZERS.verify("math:pi")
