"""What this machine can measure, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from ics_bench.core.environment import fingerprint, gpu_names

State = Literal["ok", "missing", "note"]

BUSY_SHARE = 0.25
"""Load per core, before anything of ours runs, from which timings are doubtful."""

GIB = 2**30

SCRIPT_BYTES = 2**16
"""No browser is smaller than this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Parameters
    ----------
    name : str
    state : {"ok", "missing", "note"}
        ``note``: present, yet something to know before measuring.
    found : str
        What is there, or what does not work without it.
    remedy : str
        How to get it; empty where nothing needs doing.
    required : bool
        Whether nothing can be measured without it.
    """

    name: str
    state: State
    found: str
    remedy: str = ""
    required: bool = False


def examine() -> list[Finding]:
    """Look at the machine and its software. Nothing is changed, and nothing is measured."""
    machine = fingerprint()
    return [
        *_machine(machine),
        *_torch(),
        *(_package(*row) for row in PACKAGES),
        *(_program(*row) for row in PROGRAMS),
        _browser(),
    ]


PACKAGES = (
    ("scikit-learn", "sklearn", "the data set digits", "pip install scikit-learn"),
    ("pyarrow", "pyarrow", "ics-bench export --format parquet", "pip install 'ics-bench[parquet]'"),
    ("cupy-cuda13x", "cupy", "CUDA kernels through CuPy", "pip install 'ics-bench[cuda]', on a machine with a GPU"),
    ("asv", "asv", "histories over commits, and ics-bench gate", "pip install 'ics-bench[gate]'"),
    ("virtualenv", "virtualenv", "the environments that asv and the gate build", "pip install 'ics-bench[gate]'"),
    ("pytest", "pytest", "the test suite", "pip install 'ics-bench[test]'"),
)
"""Distribution, module, what needs it, how to get it."""

PROGRAMS = (
    ("g++", ("g++",), "the tests that run the CUDA kernels on the processor, and torch.compile", "apt-get install g++"),
    ("git", ("git",), "the commit in run.json, asv and the gate", "install git with the system's package manager"),
    (
        "nvidia-smi",
        ("nvidia-smi",),
        "the GPU's name and driver in run.json",
        "comes with the NVIDIA driver; without a GPU there is nothing to do",
    ),
)
"""Name, commands that will do, what needs it, how to get it."""


def _machine(machine: dict[str, Any]) -> list[Finding]:
    usable, load = machine["cores_usable"], machine["load_average"][0]
    cache, memory = machine["cache_bytes"], machine["memory_bytes"]
    found = [
        Finding("python", "ok", f"{machine['python']} at {sys.executable}", required=True),
        Finding("processor", "ok", f"{machine['cpu']}, {usable} of {machine['cores']} cores usable"),
        Finding("memory", "ok", f"{memory / GIB:.1f} GiB"),
        Finding("last-level cache", "ok", f"{cache / 2**20:.1f} MiB")
        if cache
        else Finding(
            "last-level cache", "note", "the system does not tell its size", "choose kernel sizes by hand, with --case"
        ),
    ]
    if load > BUSY_SHARE * usable:
        remedy = "timings will carry a warning; wait, or end what else runs"
        return [*found, Finding("load", "note", f"{load:.2f} over the last minute", remedy)]
    return [*found, Finding("load", "ok", f"{load:.2f} over the last minute")]


def _torch() -> list[Finding]:
    try:
        import torch
    except ImportError as error:
        remedy = "pip install torch; without a GPU, first read the README on keeping the CUDA wheels away"
        return [Finding("torch", "missing", f"every workload ({error})", remedy, required=True)]
    capability = torch.backends.cpu.get_cpu_capability()
    found = Finding("torch", "ok", f"{torch.__version__}, {capability}, {torch.get_num_threads()} threads", "", True)
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        text = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}"
        return [found, Finding("CUDA", "ok", text)]
    if not gpu_names():
        return [
            found,
            Finding("CUDA", "missing", "--device cuda: there is no NVIDIA GPU or driver", "a machine with one"),
        ]
    remedy = "install a torch that is built for CUDA" if torch.version.cuda is None else "check the NVIDIA driver"
    return [found, Finding("CUDA", "missing", "--device cuda: torch cannot use the GPU that is there", remedy)]


def _package(distribution: str, module: str, needed_for: str, remedy: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(distribution, "missing", needed_for, remedy)
    try:
        return Finding(distribution, "ok", version(distribution))
    except PackageNotFoundError:
        return Finding(distribution, "ok", "installed under another name")


def _program(name: str, commands: tuple[str, ...], needed_for: str, remedy: str) -> Finding:
    paths = [path for command in commands if (path := shutil.which(command))]
    return Finding(name, "ok", paths[0]) if paths else Finding(name, "missing", needed_for, remedy)


def find_chromium() -> Path | None:
    """Find Chromium or Chrome among the system's programs, then among the browsers that playwright keeps."""
    for command in ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser", "chrome"):
        found = shutil.which(command)
        if found is not None and not _is_snap_stub(Path(found)):
            return Path(found)
    default = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ms-playwright"
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or default)
    programs = ("chrome", "Chromium", "headless_shell", "chrome-headless-shell")
    own = [path for name in programs for path in folder.glob(f"chromium*/**/{name}") if os.access(path, os.X_OK)]
    return next((path for path in own if path.is_file()), None)


def _is_snap_stub(path: Path) -> bool:
    """Whether a command is Ubuntu's script that asks for the snap to be installed."""
    try:
        return path.stat().st_size < SCRIPT_BYTES and b"snap install" in path.read_bytes()
    except OSError:
        return False


def _browser() -> Finding:
    found = find_chromium()
    if found is not None:
        return Finding("chromium", "ok", str(found))
    remedy = "playwright install chromium, or apt-get install chromium"
    return Finding("chromium", "missing", "the browser tests; reports open in any browser", remedy)
