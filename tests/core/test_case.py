from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import Case

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
scalars = st.one_of(
    names, st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)


@given(names, st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_two_floats_share_an_id_only_when_equal(key, one, other):
    assert (Case.of({key: one}).id == Case.of({key: other}).id) == (repr(one) == repr(other))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_neighbouring_floats_have_ids_of_their_own(value):
    assert Case.of(rate=value).id != Case.of(rate=math.nextafter(value, math.inf)).id


@given(st.lists(st.tuples(names, names), min_size=1, max_size=4), st.lists(st.tuples(names, names), max_size=4))
def test_texts_cannot_imitate_other_keys(one, other):
    first, second = Case.of(dict(one)), Case.of(dict(other))
    assert (first.id == second.id) == (list(first.items()) == list(second.items()))


@given(st.dictionaries(names, scalars, max_size=5))
def test_reads_like_the_mapping_it_was_made_of(mapping):
    case = Case.of(mapping)
    assert dict(case) == mapping
    assert hash(case) == hash(Case.of(mapping))
    assert all(case.matches(**{key: value}) for key, value in mapping.items() if key.isidentifier())


def test_id_is_readable_and_in_declared_order():
    assert Case.of(depth=20, norm="batch", rate=0.001).id == "depth=20,norm=batch,rate=0.001"


def test_a_key_that_is_missing_is_a_key_error():
    with pytest.raises(KeyError):
        Case.of(depth=5)["norm"]


@pytest.mark.parametrize("value", ["5", 5.0, True])
def test_integer_takes_integers_only(value):
    with pytest.raises(TypeError, match="depth"):
        Case.of(depth=value).integer("depth")
