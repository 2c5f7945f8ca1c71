"""One feature, one fixed rule with noise, and least squares in closed form, for `covariate_shift`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ics_bench.core import Case

SAMPLES, TEST_SAMPLES = 200, 5000
NOISE = 0.5
CEILING, DECAY = 10.0, 5.0

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Distribution ``low + width·Beta(shape, shape)``, symmetric about its middle.

    Parameters
    ----------
    low, width, shape : float
    """

    low: float
    width: float
    shape: float

    @property
    def mean(self) -> float:
        """Middle of the support."""
        return self.low + self.width / 2

    @property
    def variance(self) -> float:
        """Of Beta(a, a): 1/(4(2a + 1)), times the width squared."""
        return self.width**2 / (4 * (2 * self.shape + 1))

    def draw(self, stream: np.random.Generator, count: int) -> Vector:
        """Draw samples ``(count,)``."""
        return self.low + self.width * stream.beta(self.shape, self.shape, count)

    def density(self, x: Vector) -> Vector:
        """Density at ``x``; 0 outside of the support."""
        t = (x - self.low) / self.width
        inside = (t > 0) & (t < 1)
        middle = np.where(inside, t * (1 - t), 1.0)
        density: Vector = inside * middle ** (self.shape - 1) / special.beta(self.shape, self.shape) / self.width
        return density

    def share_within(self, other: Inputs) -> float:
        """Probability of the support of ``other``."""
        ends = np.clip((np.array([other.low, other.low + other.width]) - self.low) / self.width, 0, 1)
        low, high = special.betainc(self.shape, self.shape, ends)
        return float(high - low)


HOME = Inputs(0.0, 10.0, 2.625)
GAIN, OFFSET = 1.5, 6.5
"""Of what is written down under ``recoded``: it gives the first site's samples the page's mean and variance."""

IN_USE = {
    "none": HOME,
    "page": Inputs(8.0, 12.0, 1.5),
    "half": Inputs(4.0, 12.0, 1.5),
    "inside": Inputs(4.0, 6.0, 2.625),
    "recoded": Inputs(OFFSET, GAIN * HOME.width, HOME.shape),
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Values by metric, and what to know about them."""

    values: dict[str, float]
    warnings: tuple[str, ...] = ()


def regress(case: Case, seed: int) -> Numbers:
    """Fit on one site and use on the other."""
    shift, remedy, model = case.text("shift"), case.text("remedy"), case.text("model")
    stream = np.random.default_rng(seed)
    x = HOME.draw(stream, SAMPLES)
    y = respond(x, stream)
    x_home = HOME.draw(stream, TEST_SAMPLES)
    y_home = respond(x_home, stream)
    inputs = IN_USE[shift]
    x_test = inputs.draw(stream, TEST_SAMPLES)
    y_test = respond((x_test - OFFSET) / GAIN if shift == "recoded" else x_test, stream)

    weights = inputs.density(x) / HOME.density(x) if remedy == "importance" else np.ones(SAMPLES)
    seen = (x_test - x_test.mean()) / x_test.std() * x.std() + x.mean() if remedy == "matched" else x_test
    coefficients, columns = _fit(features(model, x), y, weights)
    test_error, home_error = (
        float(np.mean((features(model, where) @ coefficients - target) ** 2))
        for where, target in ((seen, y_test), (x_home, y_home))
    )
    effective = float(weights.sum() ** 2 / (SAMPLES * (weights**2).sum())) if weights.any() else 0.0
    values = {
        "error_ratio": test_error / home_error,
        "test_error": test_error,
        "home_error": home_error,
        "input_kl": gaussian_kl(inputs, HOME),
        "support_share": inputs.share_within(HOME),
        "test_input_mean": float(x_test.mean()),
        "test_input_variance": float(x_test.var()),
        "home_input_mean": float(x_home.mean()),
        "home_input_variance": float(x_home.var()),
    }
    if remedy == "importance":
        values["effective_share"] = effective
    few = (weights > 0).sum()
    note = f"{few} samples have a weight, {columns} coefficients to fit" if few < 3 * columns else ""
    return Numbers(values, (note,) if note else ())


def respond(x: Vector, stream: np.random.Generator) -> Vector:
    """Return y = 10(1 − e^(−x/5)) + N(0, 0.5²), the one rule on every site."""
    y: Vector = CEILING * (1 - np.exp(-x / DECAY)) + NOISE * stream.standard_normal(len(x))
    return y


def features(model: str, x: Vector) -> Vector:
    """Columns of the design matrix ``(n, coefficients)``; the true form spans the rule."""
    if model == "true":
        return np.stack([np.ones_like(x), np.exp(-x / DECAY)], axis=1)
    degree = {"line": 1, "cubic": 3}[model]
    scaled = (x - HOME.mean) / math.sqrt(HOME.variance)  # the same functions, better conditioned
    return np.stack([scaled**power for power in range(degree + 1)], axis=1)


def _fit(design: Vector, y: Vector, weights: Vector) -> tuple[Vector, int]:
    """Minimise Σ w (y − design·c)²; of several minimisers the shortest."""
    root: Vector = np.sqrt(weights)
    coefficients = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    return np.asarray(coefficients, dtype=np.float64), design.shape[1]


def gaussian_kl(used: Inputs, fitted: Inputs) -> float:
    """KL in nats of Gaussians with the moments of two distributions.

    The divergence of the Beta densities themselves is infinite wherever the first leaves the second's support.
    """
    ratio = used.variance / fitted.variance
    return 0.5 * (ratio - 1 - math.log(ratio) + (used.mean - fitted.mean) ** 2 / fitted.variance)
