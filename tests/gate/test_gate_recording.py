from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ics_bench.core import UsageError
from ics_bench.gate.recording import Noise, Recording, load_recordings, record, save_recordings
from ics_bench.gate.series import Observation, Pair

times = st.floats(1e-9, 1e4).map(lambda value: float(f"{value:.5g}"))


@st.composite
def recordings(draw) -> Recording:
    pairs = draw(st.integers(1, 5))
    rows = st.lists(times, min_size=pairs, max_size=pairs).map(tuple)
    flags = st.lists(st.booleans(), min_size=pairs, max_size=pairs).map(tuple)
    with_cpu = draw(st.booleans())
    noise = st.builds(Noise, rows, rows, *((rows, rows) if with_cpu else ()))
    benchmarks = draw(st.dictionaries(st.text(max_size=6), noise, min_size=1, max_size=3))
    return Recording(draw(st.text(max_size=5)), "2026-11-25T18:00:00+00:00", benchmarks, draw(flags), draw(flags))


@pytest.mark.parametrize("name", ["noise.json", "noise.json.gz"])
def test_recordings_come_back_as_they_were(tmp_path, name):
    @settings(max_examples=20, deadline=None)  # each writes a file to the disk
    @given(st.lists(recordings(), min_size=1, max_size=3))
    def check(made):
        assert load_recordings(save_recordings(tmp_path / name, made)) == made

    check()


def test_equal_recordings_make_equal_files(tmp_path):
    made = record("quiet", "t", {"a": [Pair(Observation(1.0, 0.5), Observation(1.25, 0.5), head_first=True)]})
    first = save_recordings(tmp_path / "a.json.gz", [made]).read_bytes()
    assert first == save_recordings(tmp_path / "b.json.gz", [made]).read_bytes()
    assert made.head_first == (True,)
    assert made.swapped == (False,)


def test_times_keep_five_digits(tmp_path):
    made = record("quiet", "t", {"a": [Pair(Observation(1.23456789e-3), Observation(2.0))]})
    (back,) = load_recordings(save_recordings(tmp_path / "n.json", [made]))
    assert back.benchmarks["a"] == Noise((1.2346e-3,), (2.0,))


def test_a_benchmark_that_failed_is_not_recorded():
    with pytest.raises(UsageError, match="'a' gave no time to record: boom"):
        record("quiet", "t", {"a": [Pair(Observation(1.0), Observation(float("nan"), error="boom"))]})


def test_benchmarks_of_one_recording_have_the_same_pairs():
    pair = Pair(Observation(1.0), Observation(1.0))
    with pytest.raises(UsageError, match="'b' has 1 pairs, others 2"):
        record("quiet", "t", {"a": [pair, pair], "b": [pair]})


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1", None])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match="time"):
        Noise((value,), (1.0,))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no recorded noise"),
        (b"[]", "holds no recorded noise"),
        (b'{"schema": 1, "recordings": []}', "holds no recording"),
        (b'{"schema": 2, "recordings": []}', "upgrade ics-bench"),
        (b'{"schema": 1, "schema": 1, "recordings": []}', "repeats a key"),
        (b'{"schema": 1, "recordings": [NaN]}', "bare NaN"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_files_are_refused(tmp_path, content, said):
    path = tmp_path / "n.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        load_recordings(path)


def test_a_torn_gzip_file_is_refused(tmp_path):
    path = tmp_path / "n.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"schema": 1}).encode() * 50)[:-12])
    with pytest.raises(UsageError, match="cannot be read"):
        load_recordings(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.json' cannot be read: No such file"):
        load_recordings(tmp_path / "nowhere.json")
