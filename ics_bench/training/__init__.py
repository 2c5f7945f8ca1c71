"""Trains many independent replicas at once: the only training loop in the project."""

from ics_bench.training.recipe import Problem, Recipe, Replica, Trajectory
from ics_bench.training.train import Trainer, train

__all__ = ["Problem", "Recipe", "Replica", "Trainer", "Trajectory", "train"]
