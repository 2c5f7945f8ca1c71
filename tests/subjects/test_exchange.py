"""Other tensors in a module's places: as `torch.func.functional_call` does it, and nothing is left behind."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.utils.parametrizations import weight_norm

from ics_bench.subjects.exchange import Exchange

X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


class Counter(nn.Module):
    """Counts its calls in a buffer: written in place, replaced or deleted and registered again."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("nothing", None)

    def forward(self, x):
        if self.how == "in place":
            self.calls += 1
        elif self.how == "replaced":
            self.calls = self.calls + 1
        else:
            later = self.calls + 1
            del self.calls
            self.register_buffer("calls", later)
        return x * self.calls


class Tied(nn.Module):
    """A weight and a counter under two names each."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.counter, self.other = Counter("replaced"), Counter("replaced")
        self.other.calls = self.counter.calls

    def forward(self, x):
        return self.second(self.first(self.counter(x)))


class Deleting(Counter):
    """Leaves without its buffer."""

    def forward(self, x):
        del self.calls
        return x


def tensors(module):
    return {name: tensor.detach() for name, tensor in (*module.named_parameters(), *module.named_buffers())}


def identities(module):
    return [
        (key, id(tensor))
        for owner in module.modules()
        for table in (owner._parameters, owner._buffers)
        for key, tensor in sorted(table.items())
    ]


BUILDS = {
    "norm": lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
    "weight norm": lambda: weight_norm(nn.Linear(3, 3)),
    "tied": Tied,
    **{how: lambda how=how: Counter(how) for how in ("in place", "replaced", "registered again")},
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_a_call_is_that_of_torch_and_nothing_is_left_behind(build):
    torch.manual_seed(0)
    module = build()
    before = identities(module)
    own = {name: tensor.clone() for name, tensor in tensors(module).items()}
    expected, state = ({name: tensor + 1 for name, tensor in own.items()} for _ in range(2))
    exchange = Exchange(module)
    for _ in range(3):
        y = functional_call(module, expected, (X,))
        with exchange.holding(state):
            found = module(X)
        assert torch.equal(found, y)
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)
    assert identities(module) == before
    assert all(torch.equal(tensor, own[name]) for name, tensor in tensors(module).items())


def test_batched_tensors_are_exchanged_under_vmap():
    module = nn.Linear(3, 3)
    exchange, before = Exchange(module), identities(module)
    stacked = {name: torch.stack([tensor, 2 * tensor]) for name, tensor in tensors(module).items()}

    def call(state):
        with exchange.holding(state):
            return module(X)

    assert torch.allclose(vmap(call)(stacked), torch.stack([module(X), 2 * module(X)]))
    assert identities(module) == before


FITTING, MISFIT = (nn.Sequential(Deleting("in place"), nn.Linear(size, 3)) for size in (3, 2))


@pytest.mark.parametrize(("module", "ends"), [(FITTING, nullcontext()), (MISFIT, pytest.raises(RuntimeError))])
def test_its_own_tensors_are_back_whatever_the_call_does(module, ends):
    before = identities(module)
    state = {name: tensor + 1 for name, tensor in tensors(module).items()}
    with ends, Exchange(module).holding(state):
        module(X)
    assert identities(module) == before


def test_what_the_module_has_not_is_refused_before_anything_is_exchanged():
    module = nn.Linear(3, 3)
    before = identities(module)
    for state in ({"wieght": X}, {"weight": X, "wieght": X}):
        with pytest.raises(ValueError, match="no parameter or buffer wieght; it has"), Exchange(module).holding(state):
            pass
        with pytest.raises(ValueError, match="no parameter or buffer wieght; it has"):
            Exchange(module).fill(state)
    assert identities(module) == before


def test_what_is_filled_in_stays_tied_and_trainable():
    module = Tied()
    state = {name: tensor + 1 for name, tensor in tensors(module).items()}
    Exchange(module).fill(state)
    assert module.first.weight is module.second.weight
    assert module.counter.calls is module.other.calls
    assert isinstance(module.first.weight, nn.Parameter)
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors(module).items())
    assert module.first.weight.data_ptr() != state["first.weight"].data_ptr()
