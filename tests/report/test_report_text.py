import doctest
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.report import text

SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def parse(shown):
    mantissa, _, exponent = shown.replace("−", "-").replace("∞", "inf").partition("×10")
    return float(mantissa) * 10.0 ** int(exponent.translate(SUPERSCRIPT) or 0)


@given(st.floats(allow_nan=False, min_value=-1e300, max_value=1e300))
def test_a_number_keeps_four_digits(value):
    shown = parse(text.number(value))
    assert shown == pytest.approx(value, rel=5.1e-4, abs=1e-306)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (200.0, "200"),
        (9999.96, "10000"),
        (0.1, "0.1"),
        (-2.5, "−2.5"),
        (math.nan, "NaN"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_that_readers_meet(value, shown):
    assert text.number(value) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_invisible_is_left(raw):
    shown = text.visible(raw)
    bad = [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"]
    assert not bad
    assert not set(shown) & set("\u202e\u2066\u200b\ufeff")
    shown.encode("utf-8")


@given(st.text(min_size=1, max_size=200), st.integers(5, 60))
def test_shortening_keeps_both_ends(raw, limit):
    short = text.shorten(raw, limit)
    assert len(short) <= limit
    if len(raw) <= limit:
        assert short == raw
    else:
        head, tail = short.split("…", 1) if raw.count("…") == 0 else (short[:1], short[-1:])
        assert raw.startswith(head)
        assert raw.endswith(tail)


def test_the_documented_examples_hold():
    assert doctest.testmod(text).failed == 0
