from __future__ import annotations

import json
from pathlib import Path

import pytest

HOSTILE = "plugin_workloads:HOSTILE"


@pytest.fixture
def shown(command):
    return command("run", HOSTILE, "--executor", "inline", "--out", "r")


def test_names_cannot_take_over_the_terminal_or_the_ci(shown, command):
    for done in (shown, command("show", "r")):
        assert done.code == 0
        assert "\x1b" not in done.out
        assert "\u202e" not in done.out
        assert "\x07" not in done.out
        assert "\\x1b]0;owned\\x07" in done.out
        assert not any(line.lstrip().startswith("::") for line in done.out.splitlines())


def test_errors_escape_what_they_quote(command):
    done = command("run", "\x1b[31mred\n::error::x")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 1


def test_names_become_no_paths(shown, workplace):
    made = {path.relative_to(workplace).parts[0] for path in workplace.rglob("*")}
    assert made <= {"r", "plugin_workloads.py", "__pycache__"}


def test_the_page_escapes_names(shown, command):
    assert command("report", "r", "--out", "site").code == 0
    page = Path("site/index.html").read_text()
    assert "</script>\x1b" not in page
    assert "&lt;/script&gt;" in page or "\\u003c/script" in page


def test_exports_hold_the_names_unchanged(shown, command):
    command("export", "r", "--format", "json", "--out", "f.json")
    rows = json.loads(Path("f.json").read_text(), parse_constant=pytest.fail)["measurements"]
    assert {"\x1b]0;owned\x07", "../../etc/passwd", "\u202etxt"} <= {row["title"] for row in rows}


def test_a_hostile_run_folder_is_only_read(command, workplace):
    folder = workplace / "r"
    folder.mkdir()
    name = "../../outside\x1b[31m</script><img onerror=x>"
    metrics = [{"name": "m", "unit": "1", "better": "lower", "kind": "exact"}]
    header = {
        "schema": 1,
        "settings": {"profile": "quick"},
        "environment": {},
        "plan": [],
        "workloads": {name: {"metrics": metrics}},
    }
    record = {
        "workload": name,
        "version": 1,
        "case": {"k": "::error::"},
        "seeds": [0],
        "status": "measured",
        "reason": "",
        "seconds": 1.0,
        "measurements": [{"seed": 0, "metric": "m", "value": 1.0, "unit": "1"}],
    }
    (folder / "run.json").write_text(json.dumps(header))
    (folder / "measurements.jsonl").write_text(json.dumps(record) + "\n")
    before = set(workplace.parent.rglob("*"))
    done = command("show", "r")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert set(workplace.parent.rglob("*")) == before
