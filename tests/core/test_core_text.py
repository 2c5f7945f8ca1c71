from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import text
from ics_bench.core.text import count, duration, group_messages, has_surrogate, why, without_surrogates


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((0.0, "0.0 s"), (9.94, "9.9 s"), (9.97, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s")),
        *((3599.7, "1 h 0 min"), (7384, "2 h 3 min")),
    ],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_an_amount_agrees_with_its_noun():
    assert [count(amount, "case") for amount in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert count(2, "index", "indices") == "2 indices"


@pytest.mark.parametrize("numbers", [("1", "20"), ("0.5", "1e-05"), ("1.5E+10", "3")])
def test_messages_that_differ_in_numbers_are_one_group(numbers):
    (group,) = group_messages((f"p = {number} here", f"case {number}") for number in numbers)
    assert (group.message, group.uniform, group.size) == (f"p = {numbers[0]} here", False, 2)


def test_a_message_repeated_for_one_case_counts_once():
    (group,) = group_messages([("same", "a"), ("same", "a"), ("same", "b")])
    assert (group.uniform, group.size, len(group.entries)) == (True, 2, 2)


def test_other_messages_are_other_groups_in_their_order():
    groups = group_messages([("late 1", "a"), ("early", "a"), ("late 2", "b")])
    assert [group.message for group in groups] == ["late 1", "early"]


def test_the_reason_of_an_error_is_told_without_its_path():
    assert why(FileNotFoundError(2, "No such file or directory", "there")) == "No such file or directory"
    assert why(OSError("plain")) == "plain"
    assert why(ValueError("embedded null byte")) == "embedded null byte"


@given(st.text(st.characters(exclude_categories=())))
def test_surrogates_and_nothing_else_are_escaped(raw):
    shown = without_surrogates(raw)
    shown.encode("utf-8")
    assert not has_surrogate(shown)
    if not has_surrogate(raw):
        assert shown == raw


def test_the_documented_examples_hold():
    assert doctest.testmod(text).failed == 0
