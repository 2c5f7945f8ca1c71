"""The noise of the batch-norm experiment: its moments, what shares a draw, and silence in evaluation."""

import pytest
import torch

from ics_bench.subjects.data.linear_teacher import load
from ics_bench.subjects.norm import load_norm
from ics_bench.subjects.norms.noise import ShiftingNoise


def draws(n, units, seed):
    """Shift m and scale s of one step, read off the outputs for zeros and ones."""
    layer = ShiftingNoise().train()
    outputs = []
    for fill in (0.0, 1.0):
        torch.manual_seed(seed)
        outputs.append(layer(torch.full((n, units), fill, dtype=torch.float64)))
    return outputs[0], outputs[1] - outputs[0]


def test_within_a_step_samples_scatter_about_their_units_centre():
    shift, scale = draws(20_000, 4, 0)
    centre, size = shift.mean(0), scale.mean(0)
    assert (centre.abs() <= 0.5).all()
    assert ((size >= 1 - 0.003) & (size <= 1.25 + 0.003)).all()
    assert shift.std(0).tolist() == pytest.approx([0.1 / 3**0.5] * 4, rel=0.02)
    assert (shift - (shift.amax(0) + shift.amin(0)) / 2).abs().amax(0).tolist() == pytest.approx([0.1] * 4, rel=0.01)
    assert scale.std(0).tolist() == pytest.approx([0.1] * 4, rel=0.03)


def test_over_units_and_steps_the_centres_are_uniform():
    shift, scale = draws(400, 3000, 1)
    centre, size = shift.mean(0), scale.mean(0)
    assert float(centre.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(centre.std()) == pytest.approx(1 / 12**0.5, rel=0.03)
    assert float(size.mean()) == pytest.approx(1.125, abs=0.005)
    assert float(size.std()) == pytest.approx(0.25 / 12**0.5, rel=0.05)


def test_the_distribution_changes_from_step_to_step():
    first, second = (draws(5000, 16, seed)[0].mean(0) for seed in (0, 1))
    assert float((first - second).abs().mean()) > 0.1


@pytest.mark.parametrize("name", ["noise", "noisy_batch"])
def test_evaluation_is_silent(name):
    layer = load_norm(name).build(5).eval()
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    y = layer(x)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-4)  # untrained running statistics: mean 0, variance 1


def test_noisy_batch_norm_is_noise_on_a_batch_norm():
    x = 3 + 2 * torch.randn(32, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(4)
    found = load_norm("noisy_batch").build(5)(x)
    torch.manual_seed(4)
    expected = load_norm("noise").build(5)(load_norm("batch").build(5)(x))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, load_norm("batch").build(5)(x), atol=0.1)


def test_positions_of_a_sample_share_their_draw():
    y = ShiftingNoise().train()(torch.ones(4, 3, 2, 2))
    assert torch.equal(y, y[:, :, :1, :1].expand_as(y))


def test_the_teacher_is_linear_and_the_same_every_time():
    data = load()
    assert (data.x.shape, data.y.shape, data.num_classes) == ((1000, 10), (1000, 10), 10)
    solution = torch.linalg.lstsq(data.x.double(), data.y.double())
    assert float((data.x.double() @ solution.solution - data.y).abs().max()) < 1e-4
    torch.testing.assert_close(data.x_test.double() @ solution.solution, data.y_test.double(), atol=1e-4, rtol=1e-4)
    assert load() is data
    assert not torch.equal(load(1).x, data.x)
