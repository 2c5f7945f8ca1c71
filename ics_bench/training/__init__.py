"""Trains many independent replicas at once: the only training loop in the project."""

from ics_bench.training.losses import CROSS_ENTROPY, MEAN_OUTPUT, SQUARED_ERROR, Loss
from ics_bench.training.observation import Observation
from ics_bench.training.recipe import Problem, Recipe, Replica, Trajectory
from ics_bench.training.train import Trainer, train

__all__ = [
    "CROSS_ENTROPY",
    "MEAN_OUTPUT",
    "SQUARED_ERROR",
    "Loss",
    "Observation",
    "Problem",
    "Recipe",
    "Replica",
    "Trainer",
    "Trajectory",
    "train",
]
