"""What `curvature` reads off a loss surface at one point."""

from __future__ import annotations

import math

import torch

from ics_bench.probes.coupling import coupling, weight_blocks
from ics_bench.probes.hessian import top_eigenvalues
from ics_bench.probes.products import gauss_newton_product, hessian_product
from ics_bench.workloads._descent import Values, View

EIGENVALUES = 10
TOLERANCE = 1e-3
"""Of an eigenvalue, as a share of the largest."""

COUPLING_PROBES = 4


def spectrum(view: View) -> Values:
    """Take the largest eigenvalues of the Hessian."""
    surface = view.surface
    product = hessian_product(surface, surface.at)
    generator = torch.Generator().manual_seed(view.seed)
    spectrum = top_eigenvalues(product, surface.at, EIGENVALUES, generator, TOLERANCE)
    found = spectrum.eigenvalues
    enough = len(found) == EIGENVALUES and found[-1] > 0
    if spectrum.residual > TOLERANCE:
        view.warn(
            f"eigenvalues are known to {spectrum.residual:.1g} of the largest, "
            f"not to {TOLERANCE:g}, after {spectrum.iterations} products"
        )
    if not enough and math.isfinite(found[0]):
        view.warn(f"fewer than {EIGENVALUES} positive eigenvalues: no ratio of the first to the last of them")
    return {
        "lambda_1": found[0],
        "lr_lambda_1": view.rate * found[0],
        "lambda_ratio": found[0] / found[-1] if enough else math.nan,
    }


def couplings(view: View) -> Values:
    """Take the curvature between the weight matrices, in the Hessian and in the Gauss–Newton matrix."""
    surface, seen = view.surface, {}
    for name, product in (
        ("hessian", hessian_product(surface, surface.at)),
        ("gauss_newton", gauss_newton_product(surface.outputs, surface.loss, surface.at)),
    ):
        generator = torch.Generator().manual_seed(view.seed)
        found = coupling(product, surface.at, weight_blocks(surface.at), generator, COUPLING_PROBES)
        seen[f"{name}_coupling"] = found.share
        seen[f"{name}_correlation"] = found.correlation
    return seen


def spectrum_and_couplings(view: View) -> Values:
    """Take both."""
    return spectrum(view) | couplings(view)
