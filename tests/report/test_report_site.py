import os
import resource

import pytest
from synthetic_runs import Page, layer_record, write_run

from ics_bench.core import UsageError
from ics_bench.report import write_report


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", [layer_record(0.5)])


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".ics-bench")]


def test_the_folder_holds_all_that_the_page_asks_for(run, tmp_path):
    index = write_report([run], tmp_path / "deep" / "er" / "out")
    page = Page(index)
    asked = {e["attrs"]["src"] for e in page.all("script") if "src" in e["attrs"]}
    assert asked == {"plotly.min.js", "report.js"}
    assert {path.name for path in index.parent.iterdir()} == {"index.html", *asked}
    addresses = [e["attrs"][name] for e in page.elements for name in ("src", "href", "action") if name in e["attrs"]]
    assert all(a.startswith(("#", "data:")) or a in asked for a in addresses)
    assert leftovers(tmp_path / "deep" / "er") == []


def test_others_may_read_the_folder(run, tmp_path):
    old = os.umask(0o022)
    try:
        index = write_report([run], tmp_path / "out")
    finally:
        os.umask(old)
    assert index.parent.stat().st_mode & 0o777 == 0o755


def test_an_earlier_report_is_replaced(run, tmp_path):
    index = write_report([run], tmp_path / "out")
    (index.parent / "report.js").write_text("old")
    other = write_run(tmp_path / "other", [layer_record(2.0)])
    assert write_report([other], tmp_path / "out") == index
    assert "other" in Page(index).text()
    assert (index.parent / "report.js").read_text() != "old"
    assert leftovers(tmp_path) == []


def test_an_empty_folder_is_used(run, tmp_path):
    (tmp_path / "out").mkdir()
    assert write_report([run], tmp_path / "out").is_file()


def test_foreign_content_is_left_alone(run, tmp_path):
    out = tmp_path / "out"
    index = write_report([run], out)
    (out / "thesis.tex").write_text("mine")
    before = index.read_bytes()
    with pytest.raises(UsageError, match="something else than a report"):
        write_report([run], out)
    assert (out / "thesis.tex").read_text() == "mine"
    assert index.read_bytes() == before


def test_a_foreign_page_is_left_alone(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("<!doctype html><title>My home page</title>")
    with pytest.raises(UsageError, match="something else"):
        write_report([run], out)
    assert "My home page" in (out / "index.html").read_text()


def test_the_run_itself_is_no_place_for_a_report(run):
    with pytest.raises(UsageError, match="something else"):
        write_report([run], run.folder)


@pytest.mark.parametrize("kind", ["file", "link", "under-file", "too-long", "nul"])
def test_what_cannot_be_a_folder_is_one_clear_error(run, tmp_path, kind):
    (tmp_path / "file").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    out = {
        "file": tmp_path / "file",
        "link": tmp_path / "link",
        "under-file": tmp_path / "file" / "out",
        "too-long": tmp_path / ("x" * 300),
        "nul": tmp_path / "a\0b",
    }[kind]
    with pytest.raises(UsageError, match="name another"):
        write_report([run], out)
    assert (tmp_path / "file").read_text() == "x"
    assert not list((tmp_path / "elsewhere").iterdir())
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_the_earlier_report(run, tmp_path):
    index = write_report([run], tmp_path / "out")
    before = index.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(UsageError, match="cannot be written"):
            write_report([run], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert index.read_bytes() == before
    assert leftovers(tmp_path) == []


def test_no_run_no_report(tmp_path):
    with pytest.raises(UsageError, match="at least one run"):
        write_report([], tmp_path / "out")
    assert not (tmp_path / "out").exists()
