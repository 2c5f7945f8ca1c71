"""The Hessian of the loss during training."""

from ics_bench.asv import TimeSuite, TrackSuite


class Curvature(TrackSuite):
    """Outliers, and the curvature between layers, at the quick profile."""

    workload = "curvature"
    metrics = (
        "initial_hessian_coupling",
        "initial_gauss_newton_coupling",
        "late_lambda_1",
        "late_lambda_ratio",
        "matched_lambda_1",
        "matched_lambda_ratio",
        "matched_hessian_coupling",
        "matched_gauss_newton_coupling",
    )


class CurvatureTime(TimeSuite):
    """How long one case takes to train and to differentiate twice."""

    workload = "curvature"
