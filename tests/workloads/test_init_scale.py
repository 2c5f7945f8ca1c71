"""init_scale: the page's numbers, theory's rates and the ends of each format."""

import math

import numpy as np
import pytest
import torch
from init_scale_runs import DEFAULTS, PAGE, one_case, seen, value

from ics_bench.workloads.init_scale import PAGE_SCALES, WORKLOAD

# The source page's own networks


@pytest.fixture(scope="module")
def by_hand():
    """Final activations of the three networks, by NumPy alone, as the page would run them."""
    saved = np.random.get_state()
    try:
        np.random.seed(42)
        x = np.random.randn(128, 256)
        finals = {}
        for init, scale in zip(PAGE_SCALES, (0.01, 1.0, np.sqrt(2 / 256)), strict=True):
            h = x
            for _ in range(50):
                h = np.maximum(h @ (np.random.randn(256, 256) * scale), 0)
            finals[init] = h
        return finals
    finally:
        np.random.set_state(saved)


@pytest.mark.parametrize(("init", "known"), [("normal-0.01", 5.56e-48), ("normal-1", 4.16e52), ("he", 0.7934)])
def test_page_in_float64(by_hand, init, known):
    found = seen(init=init, draws=PAGE)
    assert value(found, "final_std") == pytest.approx(by_hand[init].std(), rel=1e-9)
    assert value(found, "final_std") == pytest.approx(known, rel=1e-3)
    assert value(found, "zero_fraction") == (by_hand[init] == 0).mean()
    assert value(found, "dead_fraction") == (by_hand[init] == 0).all(axis=0).mean()


def test_page_in_float32():
    assert value(seen(init="normal-0.01", draws=PAGE, dtype="float32"), "final_std") == 0.0
    assert math.isnan(value(seen(init="normal-1", draws=PAGE, dtype="float32"), "final_std"))
    assert value(seen(init="he", draws=PAGE, dtype="float32"), "final_std") == pytest.approx(0.7934, abs=5e-5)


def test_page_belongs_to_no_seed_and_is_measured_once():
    found = seen(seeds=(0, 1, 2), draws=PAGE)
    assert {m.seed for ms in found.values() for m in ms} == {None}
    assert all(len(ms) == 1 for ms in found.values())


@pytest.mark.parametrize("other", [{"init": "xavier"}, {"norm": "batch"}, {"activation": "tanh"}, {"depth": 20}])
def test_page_draws_exist_for_the_page_alone(other):
    (case,) = WORKLOAD.cases("quick", {key: [v] for key, v in {**DEFAULTS, "draws": PAGE, **other}.items()})
    assert "normal-0.01, normal-1, he" in WORKLOAD.skip(case, "cpu")


# Rates against theory: tolerances are four standard deviations of what width 256 leaves to chance


@pytest.mark.parametrize(
    ("init", "activation", "forward", "backward"),
    [
        ("normal-0.01", "relu", 0.0128, 0.0128),
        ("normal-1", "relu", 128.0, 128.0),
        ("he", "relu", 1.0, 1.0),
        ("xavier", "identity", 1.0, 1.0),
        ("default", "relu", None, 1 / 6),
    ],
)
def test_rates_follow_the_variance_of_the_weights(init, activation, forward, backward):
    found = seen(init=init, activation=activation)
    if forward is not None:
        assert value(found, "forward_rate") == pytest.approx(forward, rel=0.08)
    assert value(found, "backward_rate") == pytest.approx(backward, rel=0.08)
    assert value(found, "forward_rate_ratio") == pytest.approx(1.0, abs=0.08)
    assert value(found, "backward_rate_ratio") == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("init", ["xavier", "normal-1"])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_bounded_activations_follow_the_q_map(init, activation, norm):
    found = seen(init=init, activation=activation, norm=norm)
    assert value(found, "forward_rate_ratio") == pytest.approx(1.0, abs=0.02)
    assert value(found, "backward_rate_ratio") == pytest.approx(1.0, abs=0.1)


def test_batch_norm_explodes_at_the_rates_of_yang_et_al():
    assert value(seen(norm="batch"), "backward_rate") == pytest.approx(math.pi / (math.pi - 1), rel=0.03)
    linear = seen(norm="batch", activation="identity", batch_size=8)
    assert value(linear, "backward_rate") == pytest.approx(6 / 5, rel=0.05)
    assert value(seen(norm="batch", batch_size=8), "backward_rate") > 1.6


@pytest.mark.parametrize(("norm", "rate"), [("none", 1.0), ("layer", 1.0), ("rms", 1.0), ("group", 1.2)])
def test_other_norms_do_not_explode_or_as_little_as_their_groups_are_large(norm, rate):
    assert value(seen(norm=norm), "backward_rate") == pytest.approx(rate, rel=0.06)


def test_saturation_of_tanh_at_unit_weights():
    assert value(seen(init="normal-1", activation="tanh"), "saturated_fraction") == pytest.approx(0.89, abs=0.01)


# Where a format ends


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_underflow_is_where_float64_passes_the_smallest_normal_number(dtype):
    reference = seen(init="normal-0.01")["preactivation_second_moment"][0].curve
    tiny = torch.finfo(getattr(torch, dtype)).tiny
    expected = next(x for x, y in zip(reference.x, reference.y, strict=True) if math.sqrt(y) < tiny)
    found = seen(init="normal-0.01", dtype=dtype)
    assert abs(value(found, "underflow_layer") - expected) <= (0 if dtype == "float32" else 1)
    assert value(found, "overflow_layer") == math.inf
    assert value(found, "final_std") == 0.0
    assert value(found, "dead_fraction") == 1.0
    assert any(f"{dtype} underflow at layer" in w for w in found["final_std"][0].warnings)
    assert value(found, "forward_rate_ratio") == pytest.approx(1.0, abs=0.08), "over the layers within range"
    assert math.isnan(value(found, "backward_rate")), "no gradient passes where every pre-activation is zero"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_overflow_is_where_float64_passes_the_largest_number(dtype):
    reference = seen(init="normal-1")["preactivation_std"][0].curve
    largest = torch.finfo(getattr(torch, dtype)).max
    layer = value(seen(init="normal-1", dtype=dtype), "overflow_layer")
    before, at = (reference.y[int(layer) - k] for k in (2, 1))
    assert 6 * before < largest, "the largest of 32768 entries lies within six standard deviations"
    assert 3 * at > largest / 10


def test_float64_holds_all_of_it():
    found = seen(init="normal-1")
    for metric in ("underflow_layer", "overflow_layer", "gradient_underflow_layer", "gradient_overflow_layer"):
        assert value(found, metric) == math.inf


def test_gradient_limits_count_from_the_output():
    found = seen(init="normal-0.01", activation="tanh", dtype="float32")
    layer = value(found, "gradient_underflow_layer")
    rms = np.array(found["gradient_norm"][0].curve.y[::-1]) / math.sqrt(128 * 256)
    tiny = torch.finfo(torch.float32).tiny
    assert (rms[: int(layer) - 1] >= tiny).all()
    assert rms[int(layer) - 1] < tiny


def test_backward_rate_leaves_out_the_layers_beyond_the_range():
    found = seen(init="normal-1", dtype="float32")
    lowest = 50 + 2 - int(value(found, "gradient_overflow_layer"))
    assert 5 < lowest < 25, "the gradient must leave the range between the two ends of the window"
    curve = found["gradient_norm"][0].curve.y
    expected = (curve[lowest - 1] / curve[24]) ** (2 / (25 - lowest))
    assert value(found, "backward_rate") == pytest.approx(expected, rel=1e-9)
    assert any(f"layers 25 to {lowest}" in w for w in found["backward_rate"][0].warnings)


def test_flushing_of_subnormal_numbers_is_off_while_measuring():
    values = {"init": "normal-0.01", "activation": "tanh", "dtype": "float32", "width": 64, "depth": 37}
    kept = value(seen(**values), "final_std")
    assert 0 < kept < torch.finfo(torch.float32).tiny
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        found = list(WORKLOAD.measure(one_case(**values), [0], "cpu"))
        still_on = float(torch.tensor([torch.finfo(torch.float64).tiny], dtype=torch.float64) / 2) == 0
    finally:
        torch.set_flush_denormal(False)
    assert still_on, "the caller's setting comes back"
    assert next(m.value for m in found if m.metric == "final_std") == kept
