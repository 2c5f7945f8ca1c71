"""Ghost batches, renormalization, point-wise squashing and local response, against their formulas by hand."""

import math

import pytest
import torch

from ics_bench.subjects.norm import load_norm
from ics_bench.subjects.norms.batch_renorm import MOMENTUM, SCALE_BOUND, SHIFT_BOUND, BatchRenorm, Ramp
from ics_bench.subjects.norms.ghost_batch import GHOST_SIZE


def draw(*shape, seed=0):
    return 3.0 + 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(name, num_features):
    return load_norm(name).build(num_features).double()


@pytest.mark.parametrize("positions", [(), (5,), (3, 4)])
def test_ghost_batches_are_batch_norm_part_by_part(positions):
    x = draw(3 * GHOST_SIZE, 6, *positions)
    ghost, batch = layer("ghost_batch", 6), layer("batch", 6)
    expected = torch.cat([batch(part) for part in x.split(GHOST_SIZE)])
    torch.testing.assert_close(ghost(x), expected)
    torch.testing.assert_close(ghost.running_mean, batch.running_mean)
    torch.testing.assert_close(ghost.running_var, batch.running_var)
    torch.testing.assert_close(ghost.eval()(x), batch.eval()(x))
    assert not torch.allclose(expected, layer("batch", 6)(x))


@pytest.mark.parametrize(("samples", "sizes"), [(2, [2]), (63, [63]), (70, [35, 35]), (129, [33, 32, 32, 32])])
def test_no_ghost_batch_is_smaller_than_it_may_be(samples, sizes):
    """A remainder of one sample would have no variance."""
    x = draw(samples, 2)
    expected = torch.cat([layer("batch", 2)(part) for part in x.split(sizes)])
    torch.testing.assert_close(layer("ghost_batch", 2)(x), expected)


def test_renormalization_is_batch_norm_while_its_bounds_are_closed():
    renorm, batch = (
        BatchRenorm(4, scale_bound=Ramp(1, 1, 0, 1), shift_bound=Ramp(0, 0, 0, 1)).double(),
        layer("batch", 4),
    )
    for seed in range(3):
        x = draw(8, 4, 3, seed=seed)
        torch.testing.assert_close(renorm(x), batch(x))


def test_within_its_bounds_renormalization_computes_what_evaluation_does():
    renorm = BatchRenorm(4, scale_bound=Ramp(1e6, 1e6, 0, 1), shift_bound=Ramp(1e6, 1e6, 0, 1)).double()
    for seed in range(3):
        renorm(draw(8, 4, seed=seed))
    x = draw(8, 4, seed=9)
    evaluated = renorm.eval()(x)
    torch.testing.assert_close(renorm.train()(x), evaluated)


def test_renormalization_clips_by_hand_and_passes_no_gradient_through_r_and_d():
    renorm = BatchRenorm(1, scale_bound=Ramp(2, 2, 0, 1), shift_bound=Ramp(0.5, 0.5, 0, 1)).double()
    x = torch.tensor([[0.0], [8.0]], dtype=torch.float64, requires_grad=True)
    y = renorm(x)  # σ_B = 4 is clipped to r = 2, μ_B = 4 to d = .5
    torch.testing.assert_close(y, torch.tensor([[-1.5], [2.5]], dtype=torch.float64), rtol=1e-5, atol=0)
    assert renorm.running_mean.item() == pytest.approx(MOMENTUM * 4)
    assert renorm.running_std.item() == pytest.approx(1 + MOMENTUM * 3, rel=1e-5)
    y.square().sum().backward()
    assert x.grad.sum().abs() < 1e-12, "the gradient of batch norm has no mean"


def test_the_bounds_rise_as_stated():
    at = [SCALE_BOUND(torch.tensor(steps)).item() for steps in (0, 50, 225, 400, 900)]
    assert at == pytest.approx([1, 1, 2, 3, 3])
    assert [SHIFT_BOUND(torch.tensor(steps)).item() for steps in (50, 150, 250, 300)] == pytest.approx([0, 2.5, 5, 5])
    renorm = layer("batch_renorm", 2)
    for _ in range(3):
        renorm(draw(4, 2))
    assert renorm.num_batches_tracked == 3


@pytest.mark.parametrize(("name", "squash"), [("dyt", math.tanh), ("derf", math.erf)])
def test_point_wise_norms_by_hand(name, squash):
    norm = layer(name, 2)
    x = torch.tensor([[-1.0, 4.0]], dtype=torch.float64)
    assert norm(x).tolist() == [pytest.approx([squash(-0.5), squash(2.0)])]
    with torch.no_grad():
        norm.alpha.fill_(2.0)
        norm.weight.copy_(torch.tensor([3.0, -1.0]))
        norm.bias.copy_(torch.tensor([0.5, 0.0]))
        if name == "derf":
            norm.shift.fill_(1.0)
    shift = float(name == "derf")
    expected = [3 * squash(-2 + shift) + 0.5, -squash(8 + shift)]
    assert norm(x).tolist() == [pytest.approx(expected)]
    spatial = norm(x[:, :, None, None].expand(1, 2, 3, 4))
    torch.testing.assert_close(spatial[0, :, 2, 3], norm(x)[0])


@pytest.mark.parametrize("positions", [(), (2, 3)])
def test_local_response_by_the_papers_formula(positions):
    x = 30 * draw(2, 9, *positions)
    y = layer("local_response", 9)(x)
    for i in range(9):
        around = x[:, max(0, i - 2) : i + 3].square().sum(1)
        torch.testing.assert_close(y[:, i], x[:, i] / (2 + 1e-4 * around) ** 0.75)
