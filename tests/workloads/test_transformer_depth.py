"""Transformers in training: what is yielded, depth and placement at work, warm-up, reproducibility."""

import math

import pytest
import torch

from ics_bench.core import Case
from ics_bench.workloads.transformer_depth import STEPS, WORKLOAD


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], **changes})


def measure(seeds=(1000, 1001), **changes):
    return list(WORKLOAD.measure(case(**changes), seeds, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


@pytest.fixture(scope="module")
def shallow():
    return {name: measure(architecture=f"transformer_{name}") for name in ("pre", "post")}


def test_every_declared_metric_is_yielded(shallow):
    for measurements in shallow.values():
        assert {m.metric for m in measurements} == {metric.name for metric in WORKLOAD.metrics}
        assert [m.seed for m in measurements if m.metric == "steps_to_target"] == [1000, 1001]
        assert values(measurements, "depth") == [10]
        assert not any(m.warnings for m in measurements), "lifted, not looped"


def test_shallow_transformers_learn_to_copy_wherever_the_norm_stands(shallow):
    for measurements in shallow.values():
        assert values(measurements, "reached") == [1, 1]
        assert all(20 <= steps <= 100 for steps in values(measurements, "steps_to_target"))
        assert max(values(measurements, "final_loss")) < 1.0
        for m in measurements:
            if m.metric == "steps_to_target":
                assert m.curve.y[0] > 2.5
                assert m.curve.label == "step"


def test_without_a_step_nothing_is_learned():
    """A rate of next to nothing leaves the loss where it was: a target that is reached anyway would be a sham."""
    measurements = measure(seeds=(1000,), learning_rate=1e-9)
    assert values(measurements, "reached") == [0]
    assert values(measurements, "steps_to_target") == [math.inf]
    (curve,) = [m.curve for m in measurements if m.metric == "steps_to_target"]
    assert curve.y[0] == pytest.approx(curve.y[-1], rel=0.2)
    assert len(curve.x) == STEPS / 10


def test_a_deep_net_without_a_norm_diverges():
    measurements = measure(seeds=(1000,), blocks=25, norm="none")
    assert values(measurements, "diverged") == [1]
    assert values(measurements, "final_loss") == [math.inf]


def test_warm_up_changes_the_first_steps_alone(shallow):
    """The first loss is that of the same weights on the same batch; the next ones are not."""
    warmed = measure(seeds=(1000,), warmup=100)
    plain, late = (
        next(m.curve.y for m in measurements if m.metric == "steps_to_target")
        for measurements in (shallow["pre"], warmed)
    )
    assert plain[0] == late[0]
    assert late[1] > plain[1]


def test_same_seeds_give_the_same_bits_and_others_do_not(shallow):
    assert measure(architecture="transformer_pre") == shallow["pre"]
    other = values(measure(seeds=(1002,), architecture="transformer_pre"), "final_loss")
    assert other[0] not in values(shallow["pre"], "final_loss")


@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_declared_cases_pin_every_axis(profile):
    for declared in WORKLOAD.cases(profile):
        assert list(declared) == [axis.name for axis in WORKLOAD.axes]
        assert WORKLOAD.skip(declared, "cpu") is None


def test_instance_norm_is_skipped_with_its_reason():
    assert "averages over positions" in WORKLOAD.skip(case(norm="instance"), "cpu")
