from __future__ import annotations

import csv
import io
import json
import math
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ics_bench
from ics_bench.core import UsageError
from ics_bench.results.export import FORMATS, export, safe_cell
from ics_bench.results.run import Run


@pytest.fixture
def run(workplace: Path) -> Run:
    return ics_bench.run("plugin_workloads:DRAWS", cases={"flavour": ["plain", "odd"]}, out="run")


@pytest.fixture
def hostile(workplace: Path) -> Run:
    return ics_bench.run("plugin_workloads:HOSTILE", "plugin_workloads:DRAWS", out="run")


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_csv_holds_every_value(run):
    rows = rows_of(FORMATS["csv"](run))
    frame = run.frame()
    assert len(rows) == len(frame)
    for row, (_, expected) in zip(rows, frame.iterrows(), strict=True):
        assert float(row["value"]) == expected["value"] or (row["value"] == "nan" and math.isnan(expected["value"]))
        assert row["seed"] == ("" if pd.isna(expected["seed"]) else str(expected["seed"]))
        assert row["case"] == expected["case"]
    curve = next(row for row in rows if row["curve_y"] and row["flavour"] == "odd")
    assert json.loads(curve["curve_y"])[1:] == ["-Infinity", "NaN"]


def test_csv_cells_are_no_formulas(hostile):
    cells = [cell for row in csv.reader(io.StringIO(FORMATS["csv"](hostile).decode(), newline="")) for cell in row]
    assert "'=1+1" in cells
    assert "+2" in cells
    assert "-1.5" in cells
    starts = {cell[0] for cell in cells if cell and not _is_number(cell)}
    assert not starts & set("=+-@\t\r")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(st.sampled_from(["", *"=+-@\t\r"]), st.text())
def test_a_cell_is_safe_or_a_number(start, rest):
    text = start + rest
    safe = safe_cell(text)
    assert safe in (text, f"'{text}")
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r")) or _is_number(safe)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_stay_numbers(value):
    assert safe_cell(repr(value)) == repr(value)


def test_json_is_strict_and_complete(run):
    content = json.loads(FORMATS["json"](run), parse_constant=pytest.fail)
    assert content["settings"] == run.settings
    assert content["environment"] == run.environment
    assert len(content["measurements"]) == len(run.frame())
    assert {row["value"] for row in content["measurements"] if row["metric"] == "limit"} == {1.5, "Infinity"}


def test_parquet_comes_back_as_the_frame(run, tmp_path):
    frame = pd.read_parquet(export(run, "parquet", tmp_path / "out.parquet"))
    expected = run.frame()
    assert frame["value"].tolist() == expected["value"].tolist()
    assert [list(c) if c is not None else None for c in frame["curve_x"]] == expected["curve_x"].tolist()
    assert frame.attrs["settings"] == run.settings


def test_parquet_takes_runs_of_several_workloads(hostile, tmp_path):
    frame = pd.read_parquet(export(hostile, "parquet", tmp_path / "out.parquet"))
    assert len(frame) == len(hostile.frame())


def test_parquet_without_pyarrow_says_what_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pip install"):
        export(run, "parquet", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_an_export_replaces_a_file_and_leaves_no_scratch(run, workplace, kind):
    target = workplace / "exports" / "file"
    target.parent.mkdir()
    target.write_text("old")
    export(run, kind, target)
    assert target.read_bytes() == FORMATS[kind](run)
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("where", [".", "missing/file", "run.json/file", "/dev/null", "nul\0", "x" * 300])
def test_a_path_that_cannot_be_written_is_one_clear_line(run, where):
    (Path("run.json")).touch()
    with pytest.raises(UsageError, match=r"cannot be written|is no regular file"):
        export(run, "csv", Path(where))
    assert Path("/dev/null").is_char_device()


def test_a_link_is_followed_and_stays_a_link(run, workplace):
    (workplace / "target").write_text("old")
    (workplace / "link").symlink_to(workplace / "target")
    export(run, "json", Path("link"))
    assert (workplace / "link").is_symlink()
    assert json.loads((workplace / "target").read_text())["schema"] == 1
