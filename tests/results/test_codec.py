from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import Case, CaseRecord, Curve, Measurement
from ics_bench.core.text import decode_number, encode_number
from ics_bench.core.workload import RESERVED_AXES
from ics_bench.results.codec import decode_record, encode_record, strict_loads

texts = st.text(max_size=8)  # any character: NUL, escapes, astral ones; surrogates are none
floats = st.floats()
scalars = st.one_of(
    texts, st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
cases = st.dictionaries(texts.filter(lambda key: key not in RESERVED_AXES), scalars, max_size=4).map(Case.of)
curves = st.lists(st.tuples(floats, floats), max_size=4).flatmap(
    lambda points: texts.map(lambda label: Curve(tuple(x for x, _ in points), tuple(y for _, y in points), label))
)


@st.composite
def records(draw) -> CaseRecord:
    workload, case = draw(texts), draw(cases)
    measurements = draw(
        st.lists(
            st.builds(
                Measurement,
                workload=st.just(workload),
                case=st.just(case),
                seed=st.none() | st.integers(0, 2**32),
                metric=texts,
                value=floats,
                unit=texts,
                curve=st.none() | curves,
                warnings=st.lists(texts, max_size=2).map(tuple),
            ),
            max_size=3,
        )
    )
    return CaseRecord(
        workload,
        draw(st.integers(1, 9)),
        case,
        tuple(draw(st.lists(st.integers(0, 2**32), max_size=3))),
        draw(st.sampled_from(["measured", "skipped", "failed"])),
        draw(texts),
        draw(st.floats(0, 1e9)),
        tuple(measurements),
    )


@given(records())
def test_a_record_comes_back_as_it_was(record):
    line = encode_record(record)
    assert "\n" not in line
    json.loads(line, parse_constant=pytest.fail)  # strict: no NaN token
    assert repr(decode_record(line)) == repr(record)  # repr: NaN equals NaN, and -0.0 differs from 0.0


@given(floats)
def test_a_number_comes_back_as_it_was(value):
    assert repr(decode_number(json.loads(json.dumps(encode_number(value), allow_nan=False)))) == repr(value)


@pytest.mark.parametrize("value", ["nan", "inf", "1", "", None, True, [], 10**400, math.inf, math.nan])
def test_what_no_encoder_wrote_is_no_number(value):
    with pytest.raises(ValueError, match="is no number"):
        decode_number(value)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', "[" * 100_000, "", "{", "\xff"]
)
def test_json_that_is_not_strict_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        strict_loads(text)


WHOLE = json.loads(
    encode_record(
        CaseRecord("w", 1, Case.of(a=1), (0,), "measured", "", 1.0, (Measurement("w", Case.of(a=1), 0, "m", 1.0, "s"),))
    )
)


@pytest.mark.parametrize("field", sorted(WHOLE))
@pytest.mark.parametrize("value", [None, 1.5, [None], {"a": None}, "text"], ids=repr)
def test_a_field_of_the_wrong_kind_is_no_record(field, value):
    fits = (field in ("workload", "reason") and value == "text") or (field == "seconds" and value == 1.5)
    line = json.dumps({**WHOLE, field: value})
    if fits:
        decode_record(line)
    else:
        with pytest.raises(ValueError, match=r".+"):
            decode_record(line)


@pytest.mark.parametrize("line", ["[]", "1", "null", '"text"', "{}", '{"workload": "w"}'])
def test_other_json_is_no_record(line):
    with pytest.raises(ValueError, match="not a record"):
        decode_record(line)


def record_with(text):
    curve = Curve((0.0,), (1.0,), text("label"))
    measurement = Measurement(
        text("workload"), Case.of({text("key"): text("value")}), 0, text("metric"), 1.0, text("unit"), curve,
        (text("warning"),),
    )  # fmt: skip
    return CaseRecord(
        measurement.workload, 1, measurement.case, (0,), "measured", text("reason"), 1.0, (measurement,)
    )  # fmt: skip


@pytest.mark.parametrize("place", ["workload", "key", "value", "metric", "unit", "label", "warning", "reason"])
def test_a_lone_surrogate_is_refused_both_ways(place):
    whole = encode_record(record_with(lambda name: f"<{name}>"))
    assert decode_record(whole)
    with pytest.raises(ValueError, match="lone surrogate"):
        encode_record(record_with(lambda name: "\ud800" if name == place else name))
    with pytest.raises(ValueError, match="lone surrogate"):
        decode_record(whole.replace(f"<{place}>", "\\udfff"))


@pytest.mark.parametrize("key", sorted(RESERVED_AXES))
def test_a_case_key_named_like_a_column_of_the_frame_is_no_record(key):
    with pytest.raises(ValueError, match=f"case key {key!r} has the name of a result column"):
        decode_record(json.dumps({**WHOLE, "case": {"depth": 1, key: 0.5}}))


def test_the_reserved_names_are_the_columns_of_the_frame(tmp_path):
    from ics_bench.results.run import Run

    header = {"settings": {"profile": "quick"}, "environment": {}, "plan": [], "workloads": {}}
    frame = Run(tmp_path, header, [decode_record(json.dumps(WHOLE))]).frame()
    assert {*frame.columns} == RESERVED_AXES | {"a"}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_value_error(line):
    with contextlib.suppress(ValueError):
        assert decode_record(line).workload is not None
