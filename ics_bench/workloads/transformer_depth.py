"""Whether transformers train, by their depth and by where their norms stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import not_taken, problem_of

STEPS = 200
BATCH_SIZE = 16
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
LAST = 10
"""Mini-batches at the end over which the loss is averaged."""


class TransformerDepth(Workload):
    """Causal transformers of up to 100 blocks that learn to copy a token from three positions back.

    A replica trains for at most 200 steps of 16 sequences. It *reaches the target* when .9 of the labelled
    tokens of the training set are right, in evaluation mode, at two checks of every ten steps running, and
    ends there. A net that never attends to the right position stays at a loss of ln 16 = 2.77.

    Depth in weight matrices is 4 a block, and embedding and head.
    """

    name = "transformer_depth"
    version = 1
    summary = "whether transformers of 2 to 100 blocks train, with and without warm-up, by place of the norm"
    metrics: ClassVar = (
        Metric("reached", "1", "higher", "seeded", "1 where the target was reached, else 0", headline=False),
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target; its curve is the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric(
            "final_loss",
            "nat",
            "lower",
            "seeded",
            "mean of the last ten mini-batch losses; inf where diverged",
            smallest_effect=0.05,
        ),
        Metric("diverged", "1", "lower", "seeded", "1 where the loss diverged, else 0", headline=False),
        Metric("depth", "matrix", "neutral", "exact", "weight matrices on the longest path", headline=False),
    )
    axes: ClassVar = (
        Axis(
            "architecture",
            "place of the norm",
            ("transformer_pre", "transformer_post"),
            ("transformer_pre", "transformer_post", "transformer_sandwich", "transformer_deepnorm"),
            registry=ARCHITECTURES,
        ),
        Axis("blocks", "blocks of attention and feed-forward", (2,), (12,), (12, 25, 100), minimum=1),
        Axis("norm", "normalization layer", ("layer",), registry=NORMS),
        Axis("learning_rate", "rate, after any warm-up", (0.003,), minimum=1e-9),
        Axis("warmup", "steps of linear warm-up", (0,), minimum=0),
        Axis("optimizer", "update rule", ("adam-0.98",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("xavier",), registry=INITIALIZERS),
        Axis("width", "features of a token", (32,), minimum=4),
        Axis("data", "training data", ("shift_copy",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 11}
    paired = ("architecture", "norm", "learning_rate", "warmup", "optimizer")
    recipe: ClassVar = {
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Beyond the quick profile, what tells warm-up, rate, depth and norm apart."""
        if profile == "quick":
            return ()
        base = self.cases("quick")[0]
        pre, post, deepnorm = (f"transformer_{name}" for name in ("pre", "post", "deepnorm"))
        deep = 25 if profile == "standard" else 100
        changes: list[dict[str, Scalar]] = [{"architecture": name, "blocks": deep} for name in (pre, post, deepnorm)]
        changes += [{"norm": "dyt", "blocks": 12 if profile == "standard" else deep}, {"norm": "none", "blocks": deep}]
        compared, hard = ((pre, post), 12) if profile == "standard" else ((post,), deep)
        for name in compared:
            changes.append({"architecture": name, "blocks": 2})
            changes.append({"architecture": name, "blocks": hard, "warmup": 100})
            changes.append({"architecture": name, "blocks": hard, "learning_rate": 0.0003})
        return tuple(Case.of({**base, "architecture": pre, **change}) for change in changes)

    def cost(self, case: Case) -> float:
        """Grow with depth."""
        return float(case.integer("blocks"))

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions: tokens are rows here."""
        del device
        from ics_bench.subjects.norm import load_norm

        if load_norm(case.text("norm")).needs_spatial:
            return f"{case['norm']} norm averages over positions; a token's features have none"
        return None

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together."""
        from ics_bench.subjects.transformer import depth_of
        from ics_bench.training import Recipe, Replica, Trainer

        depth = depth_of(case.integer("blocks"))
        recipe = Recipe(
            steps=STEPS,
            batch_size=BATCH_SIZE,
            target=TARGET,
            optimizer=case.text("optimizer"),
            check_every=CHECK_EVERY,
            divergence_factor=DIVERGENCE_FACTOR,
            warmup=case.integer("warmup"),
        )
        trainer = Trainer(problem_of(self, case, device, depth=depth), recipe)
        rate = float(case["learning_rate"])
        trained = trainer.train([Replica(rate, seed) for seed in seeds])
        warnings = (*trainer.warnings, *not_taken(case))
        for seed, trajectory in zip(seeds, trained, strict=True):
            losses = trajectory.losses
            curve = Curve(tuple(map(float, range(0, len(losses), CHECK_EVERY))), tuple(losses[::CHECK_EVERY]), "step")
            last = math.inf if trajectory.diverged else math.fsum(losses[-LAST:]) / len(losses[-LAST:])
            yield self.measurement(case, seed, "reached", trajectory.reached, warnings=warnings)
            yield self.measurement(case, seed, "steps_to_target", trajectory.reached_at, curve, warnings)
            yield self.measurement(case, seed, "final_loss", last, warnings=warnings)
            yield self.measurement(case, seed, "diverged", trajectory.diverged, warnings=warnings)
        yield self.measurement(case, None, "depth", depth)


WORKLOAD = TransformerDepth()
