"""init_scale: which draws are shared, and whether what it yields is what it declares."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from init_scale_runs import PAGE, SMALL, measured, one_case, value

from ics_bench.core import PROFILES, UsageError
from ics_bench.workloads.init_scale import PAGE_SCALES, WORKLOAD

# Draws


def test_equal_seeds_repeat_and_others_do_not():
    first, again = measured(seeds=(0, 1), **SMALL), measured(seeds=(0, 1), **SMALL)
    assert first == again
    assert first["final_std"][0].value != first["final_std"][1].value
    assert [m.seed for m in first["final_std"]] == [0, 1]


def test_a_seed_does_not_depend_on_its_neighbours():
    assert measured(seeds=(1,), **SMALL)["gradient_norm"][0] == measured(seeds=(0, 1), **SMALL)["gradient_norm"][1]


@pytest.mark.parametrize("arm", [{"norm": "batch"}, {"norm": "layer"}, {"activation": "tanh"}])
def test_arms_share_inputs_and_weights_at_equal_seed(arm):
    first_layers = [measured(**SMALL, **values)["preactivation_std"][0].curve.y[0] for values in ({}, arm)]
    assert first_layers[0] == first_layers[1]


def test_scales_of_one_gaussian_draw_differ_by_the_scale_alone():
    he, unit = (measured(**SMALL, init=init)["preactivation_std"][0].curve.y[0] for init in ("he", "normal-1"))
    assert he == pytest.approx(unit * math.sqrt(2 / SMALL["width"]), rel=1e-12)


def test_low_precision_is_the_same_network_rounded():
    exact, rounded = (
        measured(**SMALL, dtype=dtype)["preactivation_std"][0].curve.y for dtype in ("float64", "bfloat16")
    )
    assert exact[0] != rounded[0]
    assert rounded[0] == pytest.approx(exact[0], rel=0.01)


def test_random_states_are_left_alone():
    state, legacy = torch.get_rng_state(), np.random.get_state()
    measured(**SMALL)
    measured(draws=PAGE, init="normal-0.01")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), legacy, strict=True))


# Declaration


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "rms", "group"])
def test_every_norm_runs_in_every_format(norm, dtype):
    found = measured(norm=norm, dtype=dtype, **SMALL)
    assert math.isfinite(value(found, "final_std"))
    assert value(found, "gradient_norm") > 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
def test_measurements_are_declared_once_each_and_carry_whole_curves(activation):
    found = measured(activation=activation, **SMALL)
    assert all(len(ms) == 1 for ms in found.values())
    assert set(found) == {m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, one_case(activation=activation))}
    for (measurement,) in found.values():
        assert measurement.unit == WORKLOAD.metric(measurement.metric).unit
        if measurement.curve is not None:
            assert measurement.curve.label == "layer"
            assert measurement.curve.x == tuple(range(1, SMALL["depth"] + 1))
            assert measurement.value == measurement.curve.y[0 if measurement.metric == "gradient_norm" else -1]


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_grow_and_their_cases_are_well_formed(profile):
    cases = WORKLOAD.cases(profile)
    assert len({case.id for case in cases}) == len(cases)
    assert all(tuple(case) == tuple(axis.name for axis in WORKLOAD.axes) for case in cases)
    for axis in WORKLOAD.axes:
        values = {case[axis.name] for case in cases}
        assert {axis.parse(value) for value in values} == values
    assert {case["init"] for case in cases if case["draws"] == PAGE} == set(PAGE_SCALES)
    smaller = PROFILES[max(0, PROFILES.index(profile) - 1)]
    assert len(cases) >= len(WORKLOAD.cases(smaller))


def test_standard_holds_the_cases_that_claims_rest_on():
    cases = WORKLOAD.cases("standard")

    def has(**values):
        return any(case.matches(**values) for case in cases)

    for dtype in ("float64", "float32", "bfloat16"):
        assert all(has(init=init, draws=PAGE, dtype=dtype) for init in PAGE_SCALES)
    for batch_size in (8, 32, 128):
        for activation in ("relu", "identity"):
            for norm in ("none", "batch", "layer"):
                assert has(batch_size=batch_size, activation=activation, norm=norm, width=512, dtype="float64")


def test_cases_that_cannot_run_say_why():
    (case,) = WORKLOAD.cases("quick", {"norm": ["instance"], "init": ["he"], "activation": ["relu"]})
    assert "'instance' averages over positions" in WORKLOAD.skip(case, "cpu")
    (case,) = WORKLOAD.cases("quick", {"norm": ["batch"], "init": ["he"], "activation": ["relu"], "batch_size": [1]})
    assert "batch_size is 1" in WORKLOAD.skip(case, "cpu")


def test_a_foreign_norm_and_a_foreign_initializer_run_without_theory_of_their_own():
    found = measured(norm="torch.nn:LayerNorm", init="normal-0.3", **SMALL)
    ours = measured(norm="layer", init="normal-0.3", **SMALL)
    assert value(found, "final_std") == value(ours, "final_std")
    assert "forward_rate_theory" in ours
    assert "forward_rate_theory" not in found
    assert "backward_rate_ratio" not in found


def test_a_foreign_norm_that_draws_at_random_repeats_by_seed(tmp_path, monkeypatch):
    (tmp_path / "noisy_norm_under_test.py").write_text(
        "from torch import nn\ndef noisy(n): return nn.Sequential(nn.Linear(n, n), nn.Dropout(0.5))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    first = measured(seeds=(0, 1), norm="noisy_norm_under_test:noisy", **SMALL)
    torch.manual_seed(12345)
    assert measured(seeds=(0, 1), norm="noisy_norm_under_test:noisy", **SMALL) == first


def test_wrong_values_are_named():
    with pytest.raises(UsageError, match="did you mean 'batch'"):
        WORKLOAD.cases("quick", {"norm": ["bacth"]})
    with pytest.raises(UsageError, match="float16"):
        WORKLOAD.cases("quick", {"dtype": ["float16"]})
    with pytest.raises(UsageError, match="below the minimum"):
        WORKLOAD.cases("quick", {"depth": ["3"]})


def test_listing_needs_no_torch():
    code = (
        "import sys; from ics_bench.workloads.init_scale import WORKLOAD; "
        "WORKLOAD.digest('full'); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
