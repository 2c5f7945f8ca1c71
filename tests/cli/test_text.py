from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.cli import text
from ics_bench.cli.text import cell, printable, table


@given(st.text())
def test_nothing_printed_controls_the_terminal(name):
    shown = printable(name)
    assert shown.isprintable()
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown


@given(st.text(st.characters(codec="ascii", categories=["L", "N"])))
def test_plain_names_are_left_alone(name):
    assert printable(name) == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((None, "-"), (True, "true"), (7, "7"), (123456789, "123456789"), (0.000123456, "0.0001235")),
        *((float("inf"), "inf"), (float("-inf"), "-inf"), (float("nan"), "nan"), (1e30, "1e+30"), ("a\nb", "a\\nb")),
    ],
)
def test_cells(value, expected):
    assert cell(value) == expected


def test_a_table_aligns_and_breaks_long_titles():
    lines = table(("norm", "gradient_underflow_layer [layer]"), [("batch", 3.0), ("none", None), ("rms", 12.5)]).split(
        "\n"
    )
    assert lines == [
        "        gradient_",
        "       underflow_",
        "            layer",
        "norm      [layer]",
        "-----  ----------",
        "batch           3",
        "none            -",
        "rms          12.5",
    ]


@given(st.lists(st.lists(st.one_of(st.none(), st.text(), st.floats(), st.integers()), min_size=2, max_size=2)))
def test_every_row_is_one_line(rows):
    assert len(table(("a", "b"), rows).split("\n")) == len(rows) + 2


def test_examples():
    assert doctest.testmod(text).failed == 0
