"""Norm-free residual perceptrons start as their papers say, and a hundred blocks train."""

import pytest
import torch
from torch import nn

from ics_bench.subjects import DATASETS
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norm import load_norm
from ics_bench.subjects.residual_recipes import MATRICES_PER_BLOCK, blocks_of
from ics_bench.training import Problem, Recipe, Replica, Trainer

RECIPES = tuple(MATRICES_PER_BLOCK)


def build(recipe, depth, norm="none", seed=0, width=32, **options):
    return build_model(
        f"residual_{recipe}",
        in_features=64,
        num_classes=10,
        depth=depth,
        width=width,
        norm_layer=load_norm(norm).build,
        initialize=he,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def linears(module):
    return [m for m in module.modules() if isinstance(m, nn.Linear)]


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("blocks", [1, 3])
def test_depth_counts_the_weight_matrices(recipe, blocks):
    depth = 2 + blocks * MATRICES_PER_BLOCK[recipe]
    net = build(recipe, depth)
    assert len(net.blocks) == blocks == blocks_of(depth, recipe)
    assert len(linears(net)) == depth


@pytest.mark.parametrize(("recipe", "depth"), [("fixup", 5), ("zero_last", 7), ("skipinit", 2), ("fixup", 2)])
def test_a_depth_without_whole_blocks_is_refused(recipe, depth):
    with pytest.raises(ValueError, match=f"depth={depth}: a {recipe} perceptron"):
        blocks_of(depth, recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_block_starts_as_the_identity_and_can_leave_it(recipe):
    net = build(recipe, 14)
    x = draw(5, 32)
    assert torch.equal(net.blocks(x), x)
    if recipe == "fixup":  # its head starts at 0 and takes the first step
        nn.init.normal_(net.head.weight)
    net(draw(5, 64)).square().sum().backward()
    for block in net.blocks:
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in block.parameters())


def test_fixup_scales_down_by_the_number_of_branches():
    """L^(−1/(2m−2)) with m = 2: a hundred branches divide their first matrix by ten."""
    net = build("fixup", 202)
    reference = build("zero_last", 202)
    for block, plain in zip(net.blocks, reference.blocks, strict=True):
        first, last = block.linears()
        torch.testing.assert_close(first.weight, plain.linears()[0].weight / 10)
        assert not last.weight.any()
        assert first.bias is None
    assert not net.head.weight.any()
    assert not net.head.bias.any()
    scalars = [p for name, p in net.blocks[0].named_parameters() if name.endswith("value")]
    assert sorted(p.item() for p in scalars) == [0, 0, 0, 0, 0, 1], "a bias before each of four, one after, one gain"


def test_blocks_by_hand():
    x = draw(5, 32)
    for recipe in ("skipinit", "rezero"):
        block = build(recipe, 3).blocks[0]
        gain = next(p for name, p in block.named_parameters() if name.endswith("value"))
        nn.init.constant_(gain, 0.5)
        (linear,) = block.linears()
        branch = linear(x.relu()) if recipe == "skipinit" else linear(x).relu()
        torch.testing.assert_close(block(x), x + 0.5 * branch)
    block = build("zero_last", 4).blocks[0]
    first, last = block.linears()
    nn.init.normal_(last.weight)
    torch.testing.assert_close(block(x), x + last(first(x.relu()).relu()))
    block = build("fixup", 4).blocks[0]
    first, last = block.linears()
    nn.init.normal_(last.weight)
    values = [p for name, p in block.named_parameters() if name.endswith("value")]
    for number, p in enumerate(values):
        nn.init.constant_(p, number + 1.0)
    a, b, c, d, gain, e = (p.item() for p in values)
    expected = x + gain * last((first((x + a).relu() + b) + c).relu() + d) + e
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("position", ["before", "after"])
def test_a_norm_can_be_put_in_all_the_same(recipe, position):
    net = build(recipe, 6, "layer", norm_position=position)
    norms = sum(isinstance(m, nn.LayerNorm) for m in net.modules())
    assert norms == 5, "one for each of the four matrices in branches, one before the head"
    assert torch.isfinite(net(draw(3, 64))).all()


@pytest.mark.parametrize(
    ("recipe", "rate"), [("skipinit", 0.1), ("rezero", 0.03), ("zero_last", 0.03), ("fixup", 0.03)]
)
def test_a_hundred_blocks_train_where_the_naive_net_overflows(recipe, rate):
    data = DATASETS.load("digits")()
    depth = 2 + 100 * MATRICES_PER_BLOCK[recipe]

    def trained(build_one):
        problem = Problem(data.x[:256], data.y[:256], build_one, lambda seed: seed)
        return Trainer(problem, Recipe(steps=25, batch_size=64, check_every=26)).train([Replica(rate, 1)])[0]

    good = trained(lambda seed: build(recipe, depth, seed=seed))
    assert not good.diverged
    assert sum(good.losses[-5:]) / 5 < 0.9 * good.losses[0]
    if recipe == "skipinit":
        options = {"in_features": 64, "num_classes": 10, "depth": depth, "width": 32, "initialize": he}
        naive = trained(
            lambda seed: build_model(
                "residual",
                norm_layer=load_norm("none").build,
                generator=torch.Generator().manual_seed(seed),
                **options,
            )
        )
        assert naive.diverged_at <= 2
