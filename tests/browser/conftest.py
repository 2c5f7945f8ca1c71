import os
import sys
from pathlib import Path

import pytest

from ics_bench.execution.doctor import find_chromium

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))  # synthetic_runs, which the report's tests share


def missing(what: str) -> None:
    """Skip, except where the browser tests are what the run is for."""
    if os.environ.get("CI") == "true" and os.environ.get("ICS_BENCH_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{what}, and ICS_BENCH_REQUIRE_BROWSER is set")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright import sync_api
    except ImportError:
        missing("playwright is not installed: pip install playwright")
    chromium = find_chromium()
    if chromium is None:
        missing("no Chromium or Chrome is installed: apt-get install chromium, or playwright install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
