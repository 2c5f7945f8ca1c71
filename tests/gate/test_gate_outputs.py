"""What a decision is written to, and what is accepted of it."""

from __future__ import annotations

import json
import re

from ics_bench.cli import gate as gate_command


def test_the_second_comparisons_files_are_looked_at_where_there_is_one(project, gate, tmp_path):
    project.commit()
    (tmp_path / "d-since.json").mkdir()
    assert gate("HEAD", "HEAD", "--json", tmp_path / "d.json").code == 0
    done = gate("HEAD", "HEAD", "--json", tmp_path / "d.json", "--also-since", "HEAD")
    assert (done.code, "d-since.json' is no regular file" in done.err) == (2, True)


def test_a_known_regression_is_waived_until_a_day(project, gate, tmp_path):
    project.change("42", "43")
    waivers = tmp_path / "waivers.toml"
    for expires, code in (("2999-01-01", 0), ("2020-01-01", 1)):
        waivers.write_text(f"[[waiver]]\nbenchmark = 'suite.*'\nreason = 'agreed'\nexpires = {expires}\n")
        assert gate("HEAD~1", "HEAD", "--waivers", waivers).code == code


def test_waivers_are_those_of_the_beginning(project, gate, tmp_path, monkeypatch):
    """However long the measuring takes, a file that broke meanwhile costs no decision."""
    project.change("42", "43")
    waivers = tmp_path / "waivers.toml"
    waivers.write_text("[[waiver]]\nbenchmark = 'suite.*'\nreason = 'agreed'\nexpires = 2999-01-01\n")
    measured = gate_command.gate

    def breaks_the_file(*arguments, **options):
        decisions = measured(*arguments, **options)
        waivers.write_text("[[waiver")
        return decisions

    monkeypatch.setattr(gate_command, "gate", breaks_the_file)
    assert gate("HEAD~1", "HEAD", "--waivers", waivers).code == 0


def test_a_decision_that_cannot_be_written_keeps_no_other_from_it(project, gate, tmp_path, monkeypatch):
    project.change("42", "43")
    measured = gate_command.gate

    def takes_the_place(*arguments, **options):
        (tmp_path / "d.json").mkdir()
        return measured(*arguments, **options)

    monkeypatch.setattr(gate_command, "gate", takes_the_place)
    done = gate("HEAD~1", "HEAD", "--also-since", "HEAD~1", "--json", tmp_path / "d.json")
    assert done.code == 2
    assert done.out.count("1 regression") == 2
    assert json.loads((tmp_path / "d-since.json").read_text())["exit_code"] == 1


def test_every_output_is_written(project, gate, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    project.change("42", "43")
    files = {option: tmp_path / f"out.{option}" for option in ("json", "markdown", "junit", "report")}
    options = [word for option, path in files.items() for word in (f"--{option}", path)]
    assert gate("HEAD~1", "HEAD", *options).code == 1
    assert "1 regression" in (tmp_path / "summary.md").read_text()
    for path in (*list(files.values())[:3], files["report"] / "index.html"):
        assert "regression" in path.read_text()


def test_help_says_what_each_exit_code_means(gate, project):
    project.commit()
    codes = gate("--help").out.partition("Exit codes:")[2]
    assert re.findall(r"^ +(\d+(?:, \d+)*)  \S", codes, flags=re.MULTILINE) == [
        "0",
        "1",
        "2",
        "3",
        "129, 130, 143",
        "141",
    ]
