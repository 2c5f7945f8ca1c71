"""Shipped norms do what their papers say; foreign ones are checked before they are used."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ics_bench.core import UsageError
from ics_bench.subjects import NORMS
from ics_bench.subjects.norm import check_factory, check_norm, load_norm
from ics_bench.subjects.norms.group import MAX_GROUPS, MIN_GROUP_SIZE, group_count


@given(st.integers(1, 5000))
def test_group_count_is_the_largest_divisor_within_its_limits(num_features):
    groups = group_count(num_features)
    allowed = [
        g for g in range(1, MAX_GROUPS + 1) if num_features % g == 0 and (g == 1 or num_features // g >= MIN_GROUP_SIZE)
    ]
    assert groups == max(allowed)


@pytest.mark.parametrize("name", NORMS.builtin())
@pytest.mark.parametrize("num_features", [1, 7, 8, 64])
def test_every_norm_keeps_the_shape_of_features(name, num_features):
    norm = load_norm(name)
    x = torch.randn(6, num_features, generator=torch.Generator().manual_seed(0))
    if norm.needs_spatial:
        x = x[:, :, None, None].expand(-1, -1, 2, 2) + torch.arange(4.0).reshape(2, 2)
    y = norm.build(num_features)(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()


def normalized(x, dims):
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, unbiased=False, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize("positions", [(), (5,), (3, 4)])
def test_batch_norm_normalizes_each_feature_over_batch_and_positions(positions):
    x = 3.0 + 2.0 * torch.randn(16, 6, *positions, generator=torch.Generator().manual_seed(0))
    dims = (0, *range(2, x.dim()))
    torch.testing.assert_close(load_norm("batch").build(6)(x), normalized(x, dims))


def test_batch_norm_refuses_a_vector():
    with pytest.raises(ValueError, match=r"\(N, C, \*\), got \(6,\)"):
        load_norm("batch").build(6)(torch.zeros(6))


def test_batch_norm_uses_running_statistics_in_evaluation():
    layer = load_norm("batch").build(2)
    x = torch.tensor([[0.0, 4.0], [2.0, 8.0]])
    layer(x)
    torch.testing.assert_close(layer.running_mean, torch.tensor([0.1, 0.6]))
    layer.eval()
    expected = (x - layer.running_mean) / (layer.running_var + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), expected)


def test_per_sample_norms_by_hand():
    x = 3.0 + 2.0 * torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(load_norm("layer").build(64)(x), normalized(x, (1,)))
    grouped = normalized(x.reshape(4, 8, 8), (2,)).reshape(4, 64)
    torch.testing.assert_close(load_norm("group").build(64)(x), grouped)
    root = x.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(load_norm("rms").build(64)(x), x / root)
    assert load_norm("none").build(64)(x) is x


def test_instance_norm_averages_over_positions_alone():
    x = 3.0 + torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    norm = load_norm("instance")
    assert norm.needs_spatial
    torch.testing.assert_close(norm.build(5)(x), normalized(x, (2, 3)))


@pytest.mark.parametrize("name", NORMS.builtin())
def test_uses_batch_tells_whether_samples_see_each_other(name):
    norm = load_norm(name)
    x = torch.randn(6, 8, 3, generator=torch.Generator().manual_seed(0)).movedim(
        2, 1 if name in ("layer", "rms") else 2
    )
    layer = norm.build(8)
    other = x.clone()
    other[1:] += 5.0
    outputs = []
    for batch in (x, other):  # a norm that draws at random draws the same twice
        torch.manual_seed(0)
        outputs.append(layer(batch)[0])
    assert torch.allclose(*outputs) != norm.uses_batch


def test_unknown_norm_lists_the_near_ones():
    with pytest.raises(UsageError, match="unknown norm 'bacth'; did you mean 'batch'"):
        load_norm("bacth")


FOREIGN = '''
import torch
from torch import nn

def raises(num_features):
    raise ZeroDivisionError("no features today")

def returns_a_number(num_features):
    return 3

class Halves(nn.Module):
    def __init__(self, num_features):
        super().__init__()
    def forward(self, x):
        return x[:, ::2]

class Breaks(Halves):
    def forward(self, x):
        raise RuntimeError("cannot run")

class Tuple(Halves):
    def forward(self, x):
        return x, x

class Doubles(Halves):
    """Twice the input."""
    def forward(self, x):
        return 2 * x

def few_features(num_features):
    if num_features > 32:
        raise ValueError(f"{num_features} is too many")
    return Doubles(num_features)

class Bfloat16(Halves):
    def forward(self, x):
        return x.to(torch.bfloat16)

class OnlySmall(Halves):
    def forward(self, x):
        return x * torch.ones(8).view(8, *[1] * (x.dim() - 2))

class RowsOnly(nn.LayerNorm):
    pass

class SpatialOnly(nn.InstanceNorm2d):
    def forward(self, x):
        assert x.dim() == 4
        return super().forward(x)

number = 3
'''


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    (tmp_path / "foreign_norms_under_test.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "foreign_norms_under_test"


@pytest.mark.parametrize(
    ("attribute", "what"),
    [
        ("raises", r"with num_features=8 raised ZeroDivisionError\('no features today'\)"),
        ("returns_a_number", "returned int, not a torch.nn.Module"),
        ("Halves", r"turned shape \(4, 8\) into \(4, 4\); a norm keeps the shape"),
        ("Breaks", r"its forward on shape \(4, 8\) raised RuntimeError\('cannot run'\)"),
        ("Tuple", r"turned shape \(4, 8\) into tuple"),
        ("number", "is 3; expected a factory"),
        ("Missing", "has no 'Missing'"),
    ],
)
def test_a_factory_that_cannot_serve_is_named(foreign, attribute, what):
    name = f"{foreign}:{attribute}"
    with pytest.raises(UsageError, match=what) as caught:
        check_norm(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_imported_is_named():
    with pytest.raises(UsageError, match="importing 'no_such_module_here' failed"):
        load_norm("no_such_module_here:Norm")


@pytest.mark.parametrize(
    ("attribute", "shapes", "what"),
    [
        ("few_features", [(4, 8), (4, 64)], r"num_features=64 raised ValueError\('64 is too many'\)"),
        ("few_features", [(4, 8, 3, 3), (4, 64, 3, 3)], r"num_features=64 raised ValueError"),
        ("Bfloat16", [(4, 64)], r"turned float32 of shape \(4, 64\) into bfloat16; a norm keeps the dtype"),
        ("OnlySmall", [(4, 8), (4, 64)], r"its forward on shape \(4, 64\) raised"),
        ("OnlySmall", [(4, 64), (4, 64, 3, 3)], r"its forward on shape \(4, 64\) raised"),
        ("Halves", [(4, 8, 3, 3)], r"turned shape \(4, 8, 3, 3\) into \(4, 4, 3, 3\)"),
    ],
)
def test_a_factory_is_tried_on_every_shape_that_it_will_meet(foreign, attribute, shapes, what):
    with pytest.raises(UsageError, match=what):
        check_norm(f"{foreign}:{attribute}", *shapes)
    check_norm(f"{foreign}:Doubles", *shapes)


@pytest.mark.parametrize(("attribute", "dims"), [("RowsOnly", 2), ("SpatialOnly", 4)])
def test_a_norm_for_one_rank_of_input_is_taken_if_there_is_such_input(foreign, attribute, dims):
    rows, spatial = (4, 8), (4, 16, 3, 3)
    check_norm(f"{foreign}:{attribute}", rows, spatial)
    with pytest.raises(UsageError, match="its forward on shape"):
        check_norm(f"{foreign}:{attribute}", spatial if dims == 2 else rows)


def test_a_sound_foreign_factory_is_taken(foreign):
    norm = load_norm(f"{foreign}:Doubles")
    assert norm.summary == "Twice the input."
    assert norm.uses_batch, "nothing is known about a foreign layer, so the careful answer"
    assert torch.equal(norm.build(4)(torch.ones(2, 4)), 2 * torch.ones(2, 4))


def test_checking_trains_nothing():
    built = []

    def factory(num_features):
        built.append(nn.Linear(num_features, num_features))
        return built[-1]

    check_factory("mine", factory)
    assert all(parameter.grad is None for parameter in built[0].parameters())
