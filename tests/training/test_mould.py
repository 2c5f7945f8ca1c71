"""A cast copy is what a deep copy would be, with other values in it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from ics_bench.training.mould import Mould


class Odd(nn.Module):
    """Ties a weight, and keeps a tensor, a list and a submodule under second names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(3)
        self.mask = torch.tensor([1.0, 0.0, 1.0])
        self.order = [self.first, self.second]
        self.norm.weight.requires_grad_(False)

    def forward(self, x):
        for layer in self.order:
            x = layer(x) * self.mask
        return self.norm(x)


def local():
    class Local(Odd):
        """Of a class that pickle does not find."""

    return Local()


def doubled(module, arguments, output):
    return 2 * output


def with_hook():
    module = Odd()
    module.first.register_forward_hook(doubled)
    return module


class Careful(Odd):
    """Says itself how it is copied."""

    def __deepcopy__(self, memo):
        made = Careful()
        made.load_state_dict(self.state_dict())
        made.copied = True
        return made


def reparametrized():
    return nn.Sequential(weight_norm(nn.Linear(3, 3)), nn.BatchNorm1d(3))


X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("build", [Odd, local, with_hook, reparametrized, Careful])
def test_a_cast_copy_is_a_deep_copy_with_other_values(build):
    module = build()
    state = {k: v.detach() * 3 for k, v in (*module.named_parameters(), *module.named_buffers())}
    expected = copy.deepcopy(module)
    for name, tensor in (*expected.named_parameters(), *expected.named_buffers()):
        tensor.data = state[name].clone()
    found = Mould(module).cast(state)
    assert type(found) is type(module)
    assert torch.equal(found(X), expected(X))
    assert [(k, p.requires_grad) for k, p in found.named_parameters()] == [
        (k, p.requires_grad) for k, p in module.named_parameters()
    ]
    assert all(torch.equal(v, expected.state_dict()[k]) for k, v in found.state_dict().items())


def test_an_ordinary_module_is_walked_through_once(monkeypatch):
    moulds = [Mould(build()) for build in (Odd, with_hook)]
    monkeypatch.setattr(
        copy, "deepcopy", lambda thing: pytest.fail("copied") if isinstance(thing, nn.Module) else thing
    )
    for mould in moulds:
        assert torch.is_tensor(mould.cast({})(X))


def test_a_module_that_says_how_it_is_copied_is_copied_so():
    assert Mould(Careful()).cast({}).copied


@pytest.mark.parametrize("build", [Odd, local])
def test_nothing_that_happens_to_a_copy_reaches_the_module_or_another_copy(build):
    module = build()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    mould = Mould(module)
    state = {k: v.detach() for k, v in (*module.named_parameters(), *module.named_buffers())}
    one, other = mould.cast(state), mould.cast(state)
    expected = copy.deepcopy(other)(X)
    one(X).sum().backward()
    with torch.no_grad():
        for tensor in one.state_dict().values():
            tensor.fill_(7)
        one.mask.fill_(7)
        one.order.clear()
    assert torch.equal(other(X), expected)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert module.first.weight.grad is None
    assert len(module.order) == 2
