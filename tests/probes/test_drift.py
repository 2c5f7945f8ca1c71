"""Drift of known shifts, by hand and against NumPy and scipy; dead units are left out and counted."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from ics_bench.probes.drift import drift, drifts


def sample(n=200, units=5, seed=0):
    return torch.randn(n, units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_no_change_is_no_drift():
    found = drift(sample(), sample())
    assert (found.mean, found.log_std, found.wasserstein, found.kl) == (0.0, 0.0, 0.0, 0.0)
    assert (found.excluded, found.units) == (0, 5)


@given(st.floats(0.1, 10), st.floats(-3, 3))
def test_a_shift_in_units_of_the_standard_deviation(std, shift):
    """x → x + kσ: |Δμ|/σ and W₁/σ are k, ln σ stays, KL is k²/2."""
    x = sample() * std
    found = drift(x, x + shift * x.std(dim=0, correction=0))
    assert found.mean == pytest.approx(abs(shift), abs=1e-12)
    assert found.wasserstein == pytest.approx(abs(shift), abs=1e-12)
    assert found.log_std == pytest.approx(0.0, abs=1e-12)
    assert found.kl == pytest.approx(shift**2 / 2, abs=1e-12)


@given(st.floats(0.2, 5))
def test_a_scale_about_the_mean(factor):
    x = sample()
    centred = x - x.mean(dim=0)
    found = drift(centred, factor * centred)
    assert found.mean == pytest.approx(0.0, abs=1e-12)
    assert found.log_std == pytest.approx(abs(math.log(factor)), abs=1e-12)
    assert found.kl == pytest.approx(0.5 / factor**2 - 0.5 + math.log(factor), abs=1e-9)
    spread = float((centred.abs().mean(dim=0) / centred.std(dim=0, correction=0)).median())
    assert found.wasserstein == pytest.approx(abs(factor - 1) * spread, rel=1e-9, abs=1e-12)


def test_median_over_units_by_independent_libraries():
    before, after = sample(seed=1), sample(seed=2) * torch.linspace(0.5, 2, 5) + torch.linspace(-1, 1, 5)
    a, b = before.numpy(), after.numpy()
    std = a.std(axis=0)
    found = drift(before, after)
    assert found.mean == pytest.approx(np.median(abs(b.mean(axis=0) - a.mean(axis=0)) / std))
    assert found.log_std == pytest.approx(np.median(abs(np.log(b.std(axis=0) / std))))
    distances = [wasserstein_distance(a[:, i], b[:, i]) / std[i] for i in range(5)]
    assert found.wasserstein == pytest.approx(np.median(distances))
    normals = [torch.distributions.Normal(torch.tensor(v.mean(axis=0)), torch.tensor(v.std(axis=0))) for v in (a, b)]
    assert found.kl == pytest.approx(np.median(torch.distributions.kl_divergence(*normals)))


def test_scale_comes_from_the_values_before():
    x = sample()
    assert drift(x, 10 * x + 1).mean == pytest.approx(
        float(((10 * x + 1).mean(dim=0) - x.mean(dim=0)).abs().div(x.std(dim=0, correction=0)).median())
    )


def test_units_without_variance_are_excluded_and_counted():
    before, after = sample(units=4), sample(units=4, seed=1)
    live = drift(before[:, 2:], after[:, 2:])
    before[:, 0], after[:, 1] = 0.1, -0.7  # 0.1 is no float: its mean over 200 may differ from it
    found = drift(before, after)
    assert (found.excluded, found.units) == (2, 4)
    assert (found.mean, found.kl) == (live.mean, live.kl)
    nothing = drift(before[:, :1], after[:, :1])
    assert nothing.excluded == 1
    assert math.isnan(nothing.wasserstein)


def test_positions_count_as_samples():
    before, after = sample(n=24, units=3), sample(n=24, units=3, seed=1)
    as_images = [t.reshape(6, 2, 2, 3).movedim(3, 1) for t in (before, after)]
    assert drift(*as_images) == drift(before, after)


def test_values_that_are_not_finite_give_no_number():
    before = sample()
    for bad in (math.nan, math.inf):
        after = before.clone()
        after[3, 2] = bad
        assert math.isnan(drift(before, after).wasserstein)


def test_layers_are_measured_together_as_each_alone():
    before, after = [[sample(units=units, seed=seed + s) for s, units in enumerate((4, 3, 4, 4, 4))] for seed in (0, 9)]
    before[0][:, 1] = 0.1
    after[2][5, 0] = math.inf
    after[4] = after[4][:50]
    found = drifts(before, after)
    assert [(d.excluded, d.units) for d in found] == [(1, 4), (0, 3), (0, 4), (0, 4), (0, 4)]
    for together, first, second in zip(found, before, after, strict=True):
        assert repr(together) == repr(drift(first, second))  # NaN is not equal to itself


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="no drift from shape"):
        drift(sample(units=3), sample(units=4))
    with pytest.raises(ValueError, match="no drift from shape"):
        drift(sample(n=0), sample())
    with pytest.raises(ValueError, match="no drift from 2 layers to 1"):
        drifts([sample(), sample()], [sample()])
