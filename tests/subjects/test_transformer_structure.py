"""The transformers against torch's own encoder layers, and what each placement of the norm must satisfy."""

import math

import pytest
import torch
from torch import nn

from ics_bench.subjects import ARCHITECTURES, INITIALIZERS
from ics_bench.subjects.model import build_model, ignored_options
from ics_bench.subjects.norm import load_norm
from ics_bench.subjects.transformer import FeedForward, blocks_of, depth_of
from ics_bench.training.modes import choose_mode

PLACEMENTS = ("post", "pre", "sandwich", "deepnorm")
LENGTH, SYMBOLS, WIDTH, HEADS = 6, 16, 32, 4


def build(placement, blocks=3, norm="layer", seed=0):
    return build_model(
        f"transformer_{placement}",
        in_features=LENGTH,
        num_classes=SYMBOLS,
        depth=depth_of(blocks),
        width=WIDTH,
        norm_layer=load_norm(norm).build,
        initialize=INITIALIZERS.load("xavier"),
        generator=torch.Generator().manual_seed(seed),
    ).double()


def tokens(batch=5, seed=0):
    return torch.randint(SYMBOLS, (batch, LENGTH), generator=torch.Generator().manual_seed(seed))


def shake(model):
    """Move all parameters off their initial values, so that no zero bias or unit gain hides a mistake."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return model


def torch_layer(block, norm_first):
    """torch's encoder layer with the weights of one of our blocks."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    attention, feed_forward = block
    norm = (lambda branch: branch.first) if norm_first else (lambda branch: branch.joined)
    pairs = {
        layer.self_attn.in_proj_weight: attention.body.query_key_value.weight,
        layer.self_attn.in_proj_bias: attention.body.query_key_value.bias,
        layer.self_attn.out_proj.weight: attention.body.output.weight,
        layer.self_attn.out_proj.bias: attention.body.output.bias,
        layer.linear1.weight: feed_forward.body.inner.weight,
        layer.linear1.bias: feed_forward.body.inner.bias,
        layer.linear2.weight: feed_forward.body.outer.weight,
        layer.linear2.bias: feed_forward.body.outer.bias,
        layer.norm1.weight: norm(attention).weight,
        layer.norm1.bias: norm(attention).bias,
        layer.norm2.weight: norm(feed_forward).weight,
        layer.norm2.bias: norm(feed_forward).bias,
    }
    with torch.no_grad():
        for theirs, ours in pairs.items():
            theirs.copy_(ours)
    return layer


@pytest.mark.parametrize("placement", ["post", "pre"])
def test_a_transformer_equals_torchs_encoder_with_the_same_weights(placement):
    model, x = shake(build(placement)), tokens()
    symbols, positions = model.embedding.weight.T[:SYMBOLS], model.embedding.weight.T[SYMBOLS:]
    h = symbols[x] + positions + model.embedding.bias
    mask = nn.Transformer.generate_square_subsequent_mask(LENGTH, dtype=torch.float64)
    for block in model.blocks:
        h = torch_layer(block, norm_first=placement == "pre")(h, src_mask=mask, is_causal=True)
    torch.testing.assert_close(model(x), model.head(model.final(h)))
    assert isinstance(model.final, nn.LayerNorm if placement == "pre" else nn.Identity)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_no_logit_depends_on_a_later_token(placement):
    model, x = shake(build(placement)), tokens()
    changed = x.clone()
    changed[:, 3] = (changed[:, 3] + 1) % SYMBOLS
    before, after = model(x).detach(), model(changed).detach()
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-12)
    assert float((before[:, 3:] - after[:, 3:]).abs().amax(dim=(0, 2)).min()) > 1e-3


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_depth_counts_the_matrices_of_the_longest_path(placement):
    """Four linear layers a block, embedding and head: query, key and value are one layer, side by side."""
    model = build(placement, blocks=3)
    assert sum(isinstance(module, nn.Linear) for module in model.modules()) == depth_of(3) == 14
    assert [blocks_of(depth_of(n)) for n in (1, 12, 100)] == [1, 12, 100]


@pytest.mark.parametrize("depth", [2, 5, 13])
def test_a_depth_without_whole_blocks_is_an_error(depth):
    with pytest.raises(ValueError, match="4n \\+ 2"):
        blocks_of(depth)


def test_deepnorm_weights_its_skips_and_scales_all_but_query_and_key():
    """M = 8: α = 16^¼ = 2 and β = 64^-¼."""
    post, deep = build("post", blocks=8), build("deepnorm", blocks=8)
    beta = 64**-0.25
    for (attention, feed_forward), (scaled_attention, scaled_feed_forward) in zip(
        post.blocks, deep.blocks, strict=True
    ):
        assert attention.skip == feed_forward.skip == 1.0
        assert scaled_attention.skip == scaled_feed_forward.skip == 2.0
        ours, scaled = attention.body.query_key_value.weight, scaled_attention.body.query_key_value.weight
        assert torch.equal(ours[: 2 * WIDTH], scaled[: 2 * WIDTH])
        torch.testing.assert_close(ours[2 * WIDTH :] * beta, scaled[2 * WIDTH :])
        torch.testing.assert_close(attention.body.output.weight * beta, scaled_attention.body.output.weight)
        for name in ("inner", "outer"):
            ours, scaled = (getattr(branch.body, name).weight for branch in (feed_forward, scaled_feed_forward))
            torch.testing.assert_close(ours * beta, scaled)
    h = torch.randn(10, WIDTH, dtype=torch.float64)
    branch = shake(deep).blocks[0][1]
    torch.testing.assert_close(branch(h), branch.joined(2.0 * h + branch.body(h)))


def test_sandwich_normalizes_what_goes_into_a_branch_and_what_comes_out():
    model = shake(build("sandwich"))
    branch = model.blocks[1][1]
    for norm in (branch.first, branch.last, model.final):
        assert isinstance(norm, nn.LayerNorm)
    assert isinstance(branch.joined, nn.Identity)
    h = torch.randn(10, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(branch(h), h + branch.last(branch.body(branch.first(h))))
    assert len({id(norm) for norm in (branch.first, branch.last)}) == 2


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_placements_and_norms_share_their_weights_at_equal_seed(placement):
    reference, other = build("pre", seed=3), build(placement, norm="rms", seed=3)
    gain = 24**-0.25 if placement == "deepnorm" else 1.0
    for one, two in zip(reference.modules(), other.modules(), strict=True):
        if isinstance(one, FeedForward):
            torch.testing.assert_close(one.inner.weight * gain, two.inner.weight)
    assert torch.equal(reference.embedding.weight, other.embedding.weight)
    assert torch.equal(reference.head.weight, other.head.weight)
    assert not torch.equal(build("pre", seed=4).head.weight, reference.head.weight)


def test_queries_keys_and_values_are_drawn_with_the_fans_of_square_matrices():
    """Xavier: variance 2 / (2d) each, not the 2 / (4d) of the fused layer; tokens enter with unit variance."""
    model = build("pre", blocks=40)
    weights = torch.stack([attention.body.query_key_value.weight.detach() for attention, _ in model.blocks])
    for third in weights.chunk(3, dim=1):
        assert float(third.var()) == pytest.approx(1 / WIDTH, rel=0.03)
    wide = torch.cat([build("pre", blocks=1, seed=seed).embedding.weight.detach().flatten() for seed in range(20)])
    assert float(wide.var()) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(("norm", "mode"), [("layer", "lifted"), ("none", "lifted"), ("dyt", "vmap")])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_replicas_run_together(placement, norm, mode):
    """The mode is chosen by comparing outputs and gradients with those of each replica alone."""
    modules = [build(placement, blocks=2, norm=norm, seed=seed).float() for seed in range(2)]
    x = torch.stack([tokens(seed=seed) for seed in range(2)])
    assert choose_mode(modules, x, x) == (mode, "")


def test_a_transformer_at_the_start_guesses():
    loss = nn.functional.cross_entropy(
        build("deepnorm")(tokens(64)).detach().flatten(0, 1), tokens(64, seed=1).flatten()
    )
    assert math.log(SYMBOLS) < float(loss) < math.log(SYMBOLS) + 1.5


def test_errors_and_options():
    options = ("in_features", "num_classes", "depth", "width", "norm_layer", "initialize", "generator")
    for placement in PLACEMENTS:
        assert ignored_options(f"transformer_{placement}", (*options, "norm_position")) == ("norm_position",)
    with pytest.raises(ValueError, match="not a multiple of the 4 heads"):
        ARCHITECTURES.load("transformer_pre")(
            LENGTH, SYMBOLS, depth_of(1), 30, nn.LayerNorm, INITIALIZERS.load("he"), torch.Generator()
        )
