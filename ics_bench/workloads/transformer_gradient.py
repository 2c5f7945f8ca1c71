"""How large a transformer's gradients are at initialization, by depth and by where its norms stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS
from ics_bench.workloads._problem import load_data, problem_of

if TYPE_CHECKING:
    import torch

HALVINGS = 3
"""Depths below the deepest, each half the one above."""


class TransformerGradient(Workload):
    """Gradient of the cross-entropy with respect to each block's last matrix, before any training, in float64.

    Four nets a seed: of ``blocks`` blocks, of a half, a quarter and an eighth. The *exponent* is the slope
    of ln‖∂L/∂W‖ against ln(blocks), W the second feed-forward matrix of the last block, the one that
    Xiong et al. 2020 (arXiv:2002.04745, theorem 1) bound: by O(d √ln d) after post-norm, whatever the depth, and
    by O(d √(ln d / L)) after pre-norm, an exponent of -1/2.
    """

    name = "transformer_gradient"
    version = 1
    summary = "how gradients of a transformer scale with depth at initialization, by place of the norm"
    metrics: ClassVar = (
        Metric(
            "gradient_exponent",
            "1",
            "neutral",
            "seeded",
            "slope of the last block's ln‖gradient‖ against ln(blocks); curve: the norms by depth",
        ),
        Metric("last_gradient_norm", "1", "neutral", "seeded", "last block's gradient norm in the deepest net"),
        Metric(
            "gradient_spread",
            "1",
            "lower",
            "seeded",
            "largest over smallest gradient norm of a block in the deepest net; curve: every block",
            smallest_ratio=1.1,
        ),
    )
    axes: ClassVar = (
        Axis(
            "architecture",
            "place of the norm",
            ("transformer_pre", "transformer_post"),
            ("transformer_pre", "transformer_post", "transformer_sandwich", "transformer_deepnorm"),
            registry=ARCHITECTURES,
        ),
        Axis("blocks", "blocks of the deepest of four nets", (16,), (48,), (48, 96), minimum=8),
        Axis("norm", "normalization layer", ("layer",), ("none", "layer"), ("none", "layer", "rms"), registry=NORMS),
        Axis("init", "weight initializer", ("xavier",), registry=INITIALIZERS),
        Axis("width", "features of a token", (32,), minimum=4),
        Axis("batch_size", "sequences", (64,), minimum=1),
        Axis("data", "training data", ("shift_copy",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 11, "full": 21}
    paired = ("architecture", "norm", "init")

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Beyond the quick profile, the first net again with other draws, for which it takes another width."""
        if profile == "quick":
            return ()
        first = self.cases("quick")[0]
        return (Case.of({**first, "blocks": 48, "width": first.integer("width") + 4}),)

    def cost(self, case: Case) -> float:
        """Grow with depth."""
        return float(case.integer("blocks"))

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, and depths that cannot be halved three times."""
        del device
        from ics_bench.subjects.norm import load_norm

        if load_norm(case.text("norm")).needs_spatial:
            return f"{case['norm']} norm averages over positions; a token's features have none"
        if case.integer("blocks") % 2**HALVINGS:
            return f"blocks={case['blocks']} cannot be halved {HALVINGS} times"
        return None

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Take the gradients of four nets a seed, on one batch."""
        deepest = case.integer("blocks")
        depths = [deepest >> halvings for halvings in range(HALVINGS, -1, -1)]
        for seed in seeds:
            by_depth = {blocks: self._norms(case, seed, blocks, device) for blocks in depths}
            last = [norms[-1] for norms in by_depth.values()]
            curve = Curve(tuple(map(float, depths)), tuple(last), "blocks")
            yield self.measurement(case, seed, "gradient_exponent", slope(depths, last), curve)
            yield self.measurement(case, seed, "last_gradient_norm", last[-1])
            every = by_depth[deepest]
            curve = Curve(tuple(map(float, range(1, deepest + 1))), tuple(every), "block")
            yield self.measurement(case, seed, "gradient_spread", max(every) / min(every), curve)

    def _norms(self, case: Case, seed: int, blocks: int, device: str) -> list[float]:
        """Frobenius norm of the gradient of each block's last matrix, first block first."""
        import torch
        from torch import nn
        from torch.nn.functional import cross_entropy

        from ics_bench.subjects.transformer import FeedForward, depth_of

        data = load_data(case)
        model: nn.Module = problem_of(self, case, device, depth=depth_of(blocks)).build(seed).to(device, torch.float64)
        batch = self._batch(case, seed, len(data.x))
        logits = model.train()(data.x[batch].to(device))
        loss = cross_entropy(logits.flatten(0, 1), data.y[batch].flatten().to(device))
        matrices = [part.outer.weight for part in model.modules() if isinstance(part, FeedForward)]
        return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, matrices)]

    def _batch(self, case: Case, seed: int, samples: int) -> torch.Tensor:
        import torch

        generator = torch.Generator().manual_seed(self.seed_for(case, seed, "batch"))
        return torch.randperm(samples, generator=generator)[: case.integer("batch_size")]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of ln y against ln x.

    Examples
    --------
    >>> round(slope([1.0, 2.0, 4.0], [3.0, 1.5, 0.75]), 12)
    -1.0
    """
    logs = [(math.log(a), math.log(b)) for a, b in zip(x, y, strict=True)]
    centre = (math.fsum(a for a, _ in logs) / len(logs), math.fsum(b for _, b in logs) / len(logs))
    spread = math.fsum((a - centre[0]) ** 2 for a, _ in logs)
    return math.fsum((a - centre[0]) * (b - centre[1]) for a, b in logs) / spread


WORKLOAD = TransformerGradient()
