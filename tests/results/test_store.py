from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ics_bench.core import Case, CaseRecord, Measurement, UsageError
from ics_bench.results import files, store


def record(size: int, status: str = "measured", value: float = 0.5) -> CaseRecord:
    case = Case.of(size=size)
    found = (Measurement("w", case, 0, "m", value, "1"),) if status == "measured" else ()
    return CaseRecord("w", 1, case, (0,), status, "", 0.25, found)


def header(**changes) -> dict:
    return {"settings": {"profile": "quick"}, "environment": {}, "plan": [], "workloads": {}, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.create_folder(tmp_path / "run", header())
    return tmp_path / "run"


def append(folder: Path, *records: CaseRecord) -> None:
    with store.Writer(folder) as writer:
        for one in records:
            writer.append(one)


def test_what_was_appended_is_read_back(folder):
    append(folder, record(1), record(2))
    append(folder, record(3))
    assert store.read_records(folder) == [record(1), record(2), record(3)]
    assert store.read_header(folder)["schema"] == store.SCHEMA


def test_each_record_is_on_disk_before_the_next(folder):
    with store.Writer(folder) as writer:
        for size in (1, 2, 3):
            writer.append(record(size))
            assert len(store.read_records(folder)) == size


def test_a_failed_case_may_be_measured_later(folder):
    append(folder, record(1, "failed"), record(2), record(1, "failed"), record(1))
    assert store.read_records(folder) == [record(1), record(2)]


@pytest.mark.parametrize("second", [record(1), record(1, "failed"), record(1, "skipped")])
def test_a_finished_case_stands_once(folder, second):
    append(folder, record(1), second)
    with pytest.raises(UsageError, match="line 2 is corrupt: it repeats case w size=1"):
        store.read_records(folder)


def test_every_cut_of_the_file_loses_at_most_the_torn_record(folder):
    append(folder, record(1), record(2), record(3))
    path = folder / store.RECORDS_FILE
    content = path.read_bytes()
    for end in {*range(0, len(content), 9), *(place + 1 for place in range(len(content)) if content[place] == 10)}:
        path.write_bytes(content[:end])
        whole = content[:end].count(b"\n")
        assert store.read_records(folder) == [record(size) for size in range(1, whole + 1)]
        append(folder, *[record(size) for size in range(whole + 1, 4)])
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line", [b"", b"garbage", b"{}", b"\x00" * 40, b'{"workload": NaN}', b'{"a": 1, "a": 2}', b"[" * 50_000]
)
def test_a_corrupt_line_is_an_error_until_it_is_set_aside(folder, line):
    append(folder, record(1), record(2))
    path = folder / store.RECORDS_FILE
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first + b"\n" + line + b"\n" + second + b"\n")
    with pytest.raises(UsageError, match="line 2 is corrupt"):
        store.read_records(folder)
    with store.Writer(folder) as writer:
        assert store.set_aside(folder) == 1
        writer.append(record(3))
    assert store.read_records(folder) == [record(1), record(2), record(3)]
    assert (folder / store.CORRUPT_FILE).read_bytes() == line + b"\n"
    assert store.set_aside(folder) == 0


def test_one_writer_at_a_time(folder):
    with store.Writer(folder), pytest.raises(UsageError, match="being written by another process"):
        store.Writer(folder).__enter__()
    append(folder, record(1))


def test_appending_needs_the_lock(folder):
    with pytest.raises(RuntimeError, match="with block"):
        store.Writer(folder).append(record(1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"schema": 1, "schema": 1}', "repeats a key"),
        (b'{"schema": NaN}', "bare NaN"),
        (b"[" * 50_000, "nested too deeply"),
        (b'{"schema": 2}', "written with schema 2; this version reads up to 1: upgrade"),
        (b'{"schema": "1"}', "not a positive integer"),
        (b'{"schema": true}', "not a positive integer"),
        (b'{"schema": 0}', "not a positive integer"),
        (b'{"schema": 1}', "'settings' is missing"),
        (json.dumps({"schema": 1, **header(plan={})}).encode(), "'plan' is missing or no list"),
        (json.dumps({"schema": 1, **header(settings={})}).encode(), "name no profile"),
    ],
)
def test_a_header_that_is_not_ours_is_one_clear_line(folder, content, said):
    (folder / store.RUN_FILE).write_bytes(content)
    with pytest.raises(UsageError, match=said) as found:
        store.read_header(folder)
    assert "\n" not in str(found.value)


def test_a_record_that_no_file_can_hold_leaves_nothing(folder):
    append(folder, record(1))
    bad = CaseRecord("w", 1, Case.of(size=2), (0,), "failed", "\ud800")
    with pytest.raises(UsageError, match=r"record of w size=2 cannot be written: .*lone surrogate"):
        append(folder, bad)
    assert [found.key for found in store.read_records(folder)] == [record(1).key]


@pytest.mark.parametrize("where", ["nowhere", "a_file", "a_file/below", "."])
def test_a_folder_without_a_run_is_named(tmp_path, where):
    (tmp_path / "a_file").touch()
    with pytest.raises(UsageError, match=r"holds no run: run\.json is missing"):
        store.read_header(tmp_path / where)


@pytest.mark.parametrize("where", ["a_file", "a_folder", "a_file/below", "nul\0", "x" * 300, "a_link"])
def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path, where):
    (tmp_path / "a_file").write_text("mine")
    (tmp_path / "a_folder").mkdir()
    (tmp_path / "a_link").symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"output folder .*; name another"):
        store.create_folder(tmp_path / where, header())
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "a_file").read_text() == "mine"


def test_a_header_that_is_no_json_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        store.create_folder(tmp_path / "new" / "deeper" / "run", header(plan=[float("nan")]))
    assert list(tmp_path.iterdir()) == []


def test_replacing_a_file_is_all_or_nothing(tmp_path):
    path = tmp_path / "file"
    files.replace_file(path, b"old")
    files.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(FileNotFoundError):
        files.replace_file(tmp_path / "missing" / "file", b"")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("where", ["a_folder", "missing/file", "nul\0", "x" * 300, "a_loop"])
def test_a_file_that_cannot_be_written_is_refused_with_a_remedy(tmp_path, where):
    (tmp_path / "a_folder").mkdir()
    (tmp_path / "a_loop").symlink_to(tmp_path / "a_loop")
    before = sorted(tmp_path.rglob("*"))
    for refused in (files.check_target, lambda path: files.write_file(path, b"")):
        with pytest.raises(UsageError, match=r"; name (another file|a file to write)$"):
            refused(tmp_path / where)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_written_where_a_link_leads(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert files.write_file(tmp_path / "link", b"new") == tmp_path / "target"
    assert (tmp_path / "target").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()
