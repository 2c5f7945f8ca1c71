import sys
from pathlib import Path

import pytest

from ics_bench.execution.doctor import find_chromium

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs are told by their permission here")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The only folder of programs, and the folder of playwright's browsers."""
    programs, browsers = tmp_path / "bin", tmp_path / "browsers"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(browsers))
    return programs, browsers


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_without_a_browser_there_is_none(places):
    assert find_chromium() is None


def test_a_program_of_the_system_comes_before_playwrights(places):
    programs, browsers = places
    own = program(browsers / "chromium-1200" / "chrome-linux64" / "chrome")
    assert find_chromium() == own
    chrome = program(programs / "google-chrome")
    assert find_chromium() == chrome
    chromium = program(programs / "chromium", "#!/bin/sh\nexec the-browser\n")
    assert find_chromium() == chromium


def test_a_script_that_only_asks_for_a_snap_is_no_browser(places):
    programs, _ = places
    program(programs / "chromium-browser", "#!/bin/sh\necho 'snap install chromium'\nexit 1\n")
    assert find_chromium() is None


def test_what_cannot_be_run_is_no_browser(places):
    _, browsers = places
    program(browsers / "chromium-1" / "chrome-linux" / "chrome").chmod(0o644)
    assert find_chromium() is None
