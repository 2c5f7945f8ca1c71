"""Who draws what from torch's global random state, and that it is afterwards what it was."""

import pytest
import torch

from ics_bench.subjects.randomness import RandomState, reseed, seeded

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")),
]


def draw(device, count=3):
    return torch.rand(count, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_draws_follow_the_seed_and_the_global_state_goes_on_as_if_there_had_been_none(device):
    reseed(1, [torch.device(device)] * (device == "cuda"))
    expected = draw(device, 6)
    reseed(1, [torch.device(device)] * (device == "cuda"))
    first = draw(device)
    with seeded(5, device):
        one = draw(device)
    with seeded(5, device):
        assert torch.equal(draw(device), one)
    with seeded(6, device):
        assert not torch.equal(draw(device), one)
    assert torch.equal(torch.cat([first, draw(device)]), expected)


@pytest.mark.parametrize("device", DEVICES)
def test_a_state_of_ones_own_goes_on_where_it_is_kept_and_depends_on_its_seed_alone(device):
    mine, other = (RandomState(seed, torch.device(device)) for seed in (1, 2))

    def lent(state, keep):
        with state.lent(keep):
            return draw(device)

    looked = lent(mine, keep=False)
    first = lent(mine, keep=True)
    assert torch.equal(looked, first)
    draw(device)  # somebody else's
    second = lent(mine, keep=True)
    assert not torch.equal(first, second)
    assert not torch.equal(lent(other, keep=True), first)
    again = RandomState(1, torch.device(device))
    assert torch.equal(torch.cat([lent(again, True), lent(again, True)]), torch.cat([first, second]))
