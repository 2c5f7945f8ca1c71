"""What `curvature` reads off a loss surface at one point."""

from __future__ import annotations

import math

import torch

from ics_bench.probes.coupling import coupling, weight_blocks
from ics_bench.probes.hessian import top_eigenvalues
from ics_bench.probes.products import gauss_newton_product, hessian_product
from ics_bench.workloads._descent import Values, View

EIGENVALUES = 10
COUPLING_PROBES = 4


def spectrum(view: View) -> Values:
    """Take the largest eigenvalues of the Hessian."""
    surface = view.surface
    product = hessian_product(surface, surface.at)
    found = top_eigenvalues(product, surface.at, EIGENVALUES, torch.Generator().manual_seed(view.seed)).eigenvalues
    enough = len(found) == EIGENVALUES and found[-1] > 0
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
