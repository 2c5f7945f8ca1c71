from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import Axis, UsageError
from ics_bench.core.workload import RESERVED_AXES


def axis(*quick, **options) -> Axis:
    return Axis("depth", "a number", quick, **options)


@given(st.integers(-(10**15), 10**15))
def test_an_integer_is_parsed_from_its_text(value):
    assert axis(1).parse(str(value)) == axis(1).parse(value) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_parsed_from_its_text(value):
    parsed = axis(1.0).parse(repr(value))
    assert parsed == value
    assert isinstance(parsed, float)


@given(st.text())
def test_whatever_is_typed_is_a_value_or_one_clear_line(text):
    for numbers in (axis(1), axis(1.0), axis(True), axis("a", choices=("a", "b"))):
        try:
            parsed = numbers.parse(text)
        except UsageError as error:
            said, parsed = str(error), numbers.quick[0]
        else:
            said = "'depth'"
        assert "'depth'" in said
        assert type(parsed) is type(numbers.quick[0])


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
def test_a_point_of_the_grid_is_finite(text):
    with pytest.raises(UsageError, match=r"depth=1\.0"):
        axis(1.0).parse(text)


@pytest.mark.parametrize("text", ["yes", "0", "1", ""])
def test_true_and_false_are_the_only_truth_values(text):
    with pytest.raises(UsageError, match="true or false"):
        axis(True).parse(text)


def test_minimum_names_the_value_and_the_bound():
    with pytest.raises(UsageError, match="'depth': 1 is below the minimum 2"):
        axis(5, minimum=2).parse("1")


def test_choices_name_the_near_ones():
    with pytest.raises(UsageError, match="did you mean 'before'"):
        axis("before", choices=("before", "after")).parse("befor")


def test_profiles_repeat_the_smaller_one():
    assert axis(1).values("full") == (1,)
    assert Axis("depth", "", (1,), (2, 3)).values("full") == (2, 3)
    assert Axis("depth", "", (1,), (), (4,)).values("standard") == (1,)


@pytest.mark.parametrize("name", sorted(RESERVED_AXES))
def test_no_axis_takes_the_name_of_a_result_column(name):
    with pytest.raises(ValueError, match="choose another"):
        Axis(name, "", (1,))


@pytest.mark.parametrize(("quick", "standard"), [((), ()), ((1, 2.0), ()), ((1,), ("a",)), ((1,), (True,))])
def test_values_are_of_one_type(quick, standard):
    with pytest.raises(ValueError, match="one type"):
        Axis("depth", "", quick, standard)
