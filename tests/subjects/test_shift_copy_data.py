"""Shift-copy: labels are the tokens of three positions before, and nothing else tells them."""

import pytest
import torch

from ics_bench.subjects.data.shift_copy import IGNORED, NUM_SYMBOLS, load


def test_labels_are_the_tokens_three_positions_before():
    data = load()
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        assert x.shape == y.shape
        assert x.dtype == y.dtype == torch.int64
        for tokens, labels in zip(x.tolist(), y.tolist(), strict=True):
            assert labels == [IGNORED] * 3 + tokens[:-3]


def test_symbols_are_uniform_and_independent_of_their_label():
    """Share of each symbol, and of each (token, label) pair at one position, as uniform draws give them."""
    data = load(samples=20000)
    shares = torch.bincount(data.x.flatten(), minlength=NUM_SYMBOLS) / data.x.numel()
    assert float((shares - 1 / NUM_SYMBOLS).abs().max()) < 0.002
    pairs = torch.bincount(data.x[:, 5] * NUM_SYMBOLS + data.y[:, 5], minlength=NUM_SYMBOLS**2) / len(data.x)
    assert float((pairs - 1 / NUM_SYMBOLS**2).abs().max()) < 0.0025


def test_same_seed_same_tokens_and_no_sequence_in_both_parts():
    first = load(3)
    load.cache_clear()
    assert torch.equal(load(3).x, first.x)
    assert not torch.equal(load(4).x, first.x)
    assert not {tuple(row) for row in first.x.tolist()} & {tuple(row) for row in first.x_test.tolist()}


def test_a_sequence_without_a_label_is_an_error():
    assert load(length=4).y[0].tolist()[3] == load(length=4).x[0].tolist()[0]
    with pytest.raises(ValueError, match="needs at least 4"):
        load(length=3)
