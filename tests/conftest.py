from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
PLUGIN = "plugin_workloads"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def workers_keep_to_themselves() -> None:
    """Where pytest-xdist runs the tests: one thread a worker, and no pytest that a test starts takes itself for one.

    In a job of GitHub's, keep what the tests decide out of the job's summary.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)
    for name in [name for name in os.environ if name.startswith(("PYTEST_XDIST", "GITHUB_STEP_SUMMARY"))]:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def signals_are_heeded() -> None:
    """Whoever runs the tests in the background may ignore Ctrl-C and hang-ups, and so would what they start."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a third party's module in it, reached as the command line reaches it."""
    shutil.copy(FIXTURES / f"{PLUGIN}.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop(PLUGIN, None)
    yield tmp_path
    sys.modules.pop(PLUGIN, None)


@pytest.fixture
def command(workplace: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """Run the command line in this process: everything but the interpreter's start is the real thing."""
    from ics_bench.cli.group import run_group

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_group([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def process(workplace: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command line as a process group of its own, as a shell would."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, prefix: str = "") -> subprocess.Popen[str]:
        code = f"{prefix}\nfrom ics_bench.cli.main import main\nmain()"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=workplace
        )
        started.append(popen)
        return popen

    yield start
    for popen in started:
        if popen.poll() is None:
            os.killpg(popen.pid, signal.SIGKILL)
        popen.communicate()
