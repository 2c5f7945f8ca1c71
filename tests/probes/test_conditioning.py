"""Condition numbers against closed forms, and rank deficiency that is said rather than hidden."""

import math

import numpy as np
import pytest
import torch

from ics_bench.probes.conditioning import conditioning, drop_constant, preprocess


def orthonormal(n=64, columns=4, seed=0):
    """Columns orthonormal to each other and to the constant, times √n: identity covariance exactly."""
    raw = np.random.default_rng(seed).standard_normal((n, columns))
    q, _ = np.linalg.qr(np.c_[np.ones(n), raw])
    return torch.from_numpy(q[:, 1:] * math.sqrt(n))


@pytest.mark.parametrize("scale", [1e-4, 0.5, 1.0, 30.0, 1e5])
def test_one_scale_away_from_one(scale):
    x = orthonormal()
    x[:, 0] *= scale
    assert conditioning(x).condition == pytest.approx(max(scale, 1 / scale) ** 2, rel=1e-6)
    assert conditioning(preprocess(x, "standardised")).condition == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("mean", [0.0, 0.1, 3.0, 100.0])
def test_a_mean_of_one_feature(mean):
    """[[1, m], [m, 1 + m²]] has determinant 1, so its condition is the square of its top eigenvalue."""
    x = orthonormal(columns=1) + mean
    trace = 2 + mean**2
    top = (trace + math.sqrt(trace**2 - 4)) / 2
    assert conditioning(x).condition == pytest.approx(top**2, rel=1e-6)
    assert conditioning(preprocess(x, "centred")).condition == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.9, 0.999])
def test_correlation_of_two_features(correlation):
    x = orthonormal(columns=2)
    x[:, 1] = correlation * x[:, 0] + math.sqrt(1 - correlation**2) * x[:, 1]
    expected = (1 + abs(correlation)) / (1 - abs(correlation))
    assert conditioning(preprocess(x, "standardised")).condition == pytest.approx(expected, rel=1e-6)
    assert conditioning(preprocess(x, "whitened")).condition == pytest.approx(1.0, abs=1e-9)


def test_without_a_bias_the_mean_is_no_direction_of_its_own():
    x = torch.full((10, 1), 7.0)
    assert conditioning(x, bias=False).condition == 1.0
    assert conditioning(x, bias=True).deficient


def test_rank_deficiency_is_said():
    x = torch.cat([orthonormal(), torch.full((64, 1), 5.0, dtype=torch.float64)], dim=1)
    found = conditioning(x)
    assert (found.condition, found.rank, found.size) == (math.inf, 5, 6)
    assert math.isfinite(found.effective_condition)
    kept, dropped = drop_constant(x)
    assert dropped == (4,)
    assert conditioning(kept).condition == pytest.approx(1.0, abs=1e-9)


def test_more_features_than_samples_is_singular():
    found = conditioning(torch.randn(5, 9, generator=torch.Generator().manual_seed(0)), bias=False)
    assert (found.rank, found.size, found.condition) == (5, 9, math.inf)


def test_zeros_have_no_condition():
    found = conditioning(torch.zeros(4, 2), bias=False)
    assert found.rank == 0
    assert found.condition == math.inf
    assert math.isnan(found.effective_condition)


def test_a_condition_that_the_gram_matrix_would_lose():
    x = orthonormal(columns=2)
    x[:, 0] *= 1e9
    assert conditioning(x).condition == pytest.approx(1e18, rel=1e-4)


def test_whitened_inputs_have_identity_covariance():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(1)) @ torch.randn(5, 5) + 3
    z = preprocess(x, "whitened")
    assert torch.allclose(z.mean(0), torch.zeros(5, dtype=z.dtype), atol=1e-10)
    assert torch.allclose(z.T @ z / 200, torch.eye(5, dtype=z.dtype), atol=1e-10)


@pytest.mark.parametrize("how", ["standardised", "whitened"])
def test_a_constant_column_has_no_scale(how):
    with pytest.raises(ValueError, match=r"columns \[1\] are constant"):
        preprocess(torch.tensor([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]]), how)


def test_a_repeated_column_cannot_be_whitened():
    x = orthonormal(columns=2)
    with pytest.raises(ValueError, match="rank 2 of 3"):
        preprocess(torch.cat([x, x[:, :1]], dim=1), "whitened")


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.zeros(0, 3), torch.tensor([[math.nan]])])
def test_what_has_no_spectrum_is_refused(bad):
    with pytest.raises(ValueError, match=r"matrix|finite"):
        conditioning(bad)


def test_input_is_left_alone():
    x = torch.randn(8, 3)
    before = x.clone()
    for how in ("raw", "centred", "standardised", "whitened"):
        preprocess(x, how)
    assert torch.equal(x, before)
