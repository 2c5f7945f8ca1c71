"""Accuracy by norm and batch size: what is yielded, and what the two modes are."""

import math

import pytest
import torch
from torch import nn

from ics_bench.core import Case
from ics_bench.subjects.data.digits import load as load_digits
from ics_bench.subjects.data.digits_styles import load as load_styles
from ics_bench.workloads._norm_fit_accuracy import accuracies
from ics_bench.workloads.norm_fit import RATE_PER_SAMPLE, WORKLOAD


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], "samples": 512, "width": 16, "depth": 3, **changes})


def measure(seeds=range(2), **changes):
    return list(WORKLOAD.measure(case(**changes), seeds, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


class SignByMode(nn.Module):
    """Answers class 1 where the first feature exceeds the batch's mean in training, 0 in evaluation."""

    def __init__(self):
        super().__init__()
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, x):
        threshold = x[:, 0].mean() if self.training else 0.0
        self.batches += int(self.training)
        score = x[:, 0] - threshold
        return torch.stack([-score, score], 1)


def test_both_modes_by_hand():
    """Five samples, batches of two: the fifth fills no batch, and counts in evaluation mode alone."""
    x = torch.tensor([[1.0], [3.0], [-2.0], [-4.0], [5.0]])
    y = torch.tensor([1, 1, 0, 0, 0])
    module = SignByMode()
    found = accuracies(module, x, y, 2)
    assert found.evaluation_mode == 1.0
    assert found.all_samples == 0.8
    assert found.train_mode == 0.5, "1 < 2 and -2 > -3 answer the other way"
    assert module.batches == 2


def test_tokens_without_an_answer_do_not_count():
    logits = torch.eye(3)[torch.tensor([[0, 1], [2, 2]])]
    found = accuracies(nn.Identity(), logits, torch.tensor([[-100, 1], [0, 2]]), 1)
    assert found.all_samples == found.train_mode == pytest.approx(2 / 3)


def test_a_batch_larger_than_the_test_data_is_refused():
    with pytest.raises(ValueError, match="batch_size=9 exceeds the 4 test samples"):
        accuracies(nn.Identity(), torch.zeros(4, 3), torch.zeros(4), 9)


@pytest.mark.parametrize("norm", ["none", "layer", "group", "dyt", "weight_norm"])
def test_norms_of_single_samples_answer_alike_in_both_modes(norm):
    found = measure(norm=norm)
    assert values(found, "train_eval_gap") == [0, 0]
    assert values(found, "train_eval_difference") == [0, 0]


def test_batch_norm_of_small_batches_does_not():
    found = measure(norm="batch", samples=2048, width=32)
    assert max(values(found, "train_eval_gap")) < -0.02, "training mode answers worse"
    for gap, size in zip(values(found, "train_eval_gap"), values(found, "train_eval_difference"), strict=True):
        assert size == abs(gap)


def test_every_metric_is_yielded_by_seed_and_the_loss_falls():
    found = measure(norm="batch", batch_size=16, learning_rate=0.1, samples=1024)
    assert {m.metric for m in found} == {metric.name for metric in WORKLOAD.metrics}
    for m in found:
        assert m.unit == "1"
        if m.metric == "test_accuracy":
            assert m.value > 0.5
            assert m.curve.y[-1] < 0.6 * m.curve.y[0]
            assert m.curve.label == "step"


def test_same_seeds_same_bits():
    assert measure(norm="batch") == measure(norm="batch")
    assert measure(norm="batch", seeds=[0, 1]) != measure(norm="batch", seeds=[2, 3])


def test_a_diverged_replica_has_failed():
    found = measure(norm="none", learning_rate=1e6, seeds=[0])
    assert values(found, "test_accuracy") == [0.0]
    assert math.isnan(values(found, "train_eval_gap")[0])
    assert all(any("diverged at step" in text for text in m.warnings) for m in found)


def test_the_rate_grows_with_the_batch():
    for declared in WORKLOAD.cases("standard"):
        if declared["optimizer"] == "sgd":
            assert declared["learning_rate"] == pytest.approx(RATE_PER_SAMPLE * declared["batch_size"])
        if declared["batch_size"] == 32 and declared["optimizer"] == "sgd":
            assert declared["learning_rate"] == pytest.approx(0.1)


def test_cases_that_cannot_run_say_why():
    assert "averages over positions" in WORKLOAD.skip(case(norm="instance"), "cpu")
    assert WORKLOAD.skip(case(norm="instance", architecture="cnn"), "cpu") is None
    assert "batches of one sample" in WORKLOAD.skip(case(norm="batch", batch_size=1), "cpu")
    assert WORKLOAD.skip(case(norm="batch", batch_size=1, architecture="cnn"), "cpu") is None
    assert WORKLOAD.skip(case(norm="layer", batch_size=1), "cpu") is None
    for profile in ("quick", "standard"):
        assert all(WORKLOAD.skip(declared, "cpu") is None for declared in WORKLOAD.cases(profile))


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_transformers_go_through(norm):
    declared = next(
        c for c in WORKLOAD.cases("standard") if c["architecture"] == "transformer_pre" and c["norm"] == norm
    )
    found = list(WORKLOAD.measure(Case.of({**declared, "samples": 320, "depth": 6}), [0], "cpu"))
    assert 0 < values(found, "test_accuracy")[0] < 1
    assert (values(found, "train_eval_gap")[0] == 0) == (norm == "layer")


def test_styles_change_contrast_and_brightness_and_nothing_else():
    plain, styled = load_digits(), load_styles()
    assert torch.equal(plain.y, styled.y)

    def standardized(x):
        return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)

    torch.testing.assert_close(standardized(styled.x_test), standardized(plain.x_test), rtol=1e-3, atol=1e-3)
    gains = styled.x.std(1) / plain.x.std(1)
    assert 0.25 < gains.min() < 0.27
    assert 3.8 < gains.max() < 4.01
    offsets = styled.x.mean(1) - gains * plain.x.mean(1)
    assert offsets.std().item() == pytest.approx(1.0, rel=0.1)
