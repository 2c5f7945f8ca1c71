"""Where a measurement was taken: enough to tell whether two of them may be compared."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("ics-bench", "torch", "numpy", "scipy", "pandas", "scikit-learn", "cupy-cuda13x")

VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_CBWR", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA",
    "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip
"""Environment variables that pick the arithmetic or its threads."""

CPU_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
"""Where Linux describes the caches of the first core."""

GIT_SECONDS = 10
"""A repository whose status takes longer than this is recorded as unknown."""


def fingerprint() -> dict[str, Any]:
    """Describe this machine, its software and its state, as strict JSON values.

    ``git`` is the commit of the working folder, ``source`` that of this package where it runs from a
    checkout; ``None`` outside one or without git.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "cpu": cpu_model(),
        "cores": psutil.cpu_count(logical=True),
        "cores_usable": usable_cores(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "memory_bytes": psutil.virtual_memory().total,
        "cache_bytes": last_level_cache_bytes(),
        "gpu": gpu_names(),
        "git": git_state(Path.cwd()),
        "source": source_state(),
        "load_average": list(os.getloadavg()),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def usable_cores() -> int:
    """Cores that this process may run on, which a container or ``taskset`` can make fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cache_sizes() -> dict[int, int]:
    """Bytes of the largest cache of each level that the first core sees; empty where the system does not tell."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes: dict[int, int] = {}
    for index in sorted(CPU_CACHES.glob("index*")):
        try:
            level, text = int((index / "level").read_text()), (index / "size").read_text().strip()
            size = int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)
        except (OSError, ValueError):
            continue
        sizes[level] = max(size, sizes.get(level, 0))
    return sizes


def last_level_cache_bytes() -> int | None:
    """Size of the largest cache that the first core sees, or ``None`` where the system does not tell."""
    return max(cache_sizes().values(), default=None)


def private_cache_bytes() -> int:
    """Size of the first core's level-2 cache; 0 where the system does not tell."""
    return cache_sizes().get(2, 0)


def gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs that the driver reports; empty without one."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = _output(query, None)
    return [line.strip() for line in done.splitlines() if line.strip()] if done else []


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository around ``folder``, and whether it tells the whole; ``None`` outside one or without git.

    ``dirty``: tracked files were changed; ``untracked``: files lie about that no commit holds.
    """
    commit = _output(["git", "rev-parse", "HEAD"], folder)
    if commit is None:
        return None
    status = _output(["git", "status", "--porcelain"], folder)
    if status is None:
        return {"commit": commit.strip(), "dirty": None, "untracked": None}
    marks = {line[:2] for line in status.splitlines()}
    return {"commit": commit.strip(), "dirty": bool(marks - {"??"}), "untracked": "??" in marks}


def source_state() -> dict[str, Any] | None:
    """State of the checkout that this package runs from; ``None`` for an installed copy."""
    here = Path(__file__).resolve()
    if _output(["git", "ls-files", "--error-unmatch", here.name], here.parent) is None:
        return None  # an environment inside somebody's repository is not that repository's code
    return git_state(here.parent)


def _output(command: list[str], folder: Path | None) -> str | None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Name the fields in which two fingerprints describe machines or software that do not compare."""
    found = []
    for field in ("python", "cpu", "cores", "cores_usable", "gpu"):
        found += _difference(field, one.get(field), other.get(field))
    for field in ("packages", "variables"):
        was, now = one.get(field) or {}, other.get(field) or {}
        for name in sorted({*was, *now}):
            found += _difference(name, was.get(name), now.get(name))
    was, now = one.get("source") or {}, other.get("source") or {}
    for field in ("commit", "dirty"):
        found += _difference(f"ics-bench {field}", was.get(field), now.get(field))
    return found


def _difference(name: str, was: object, now: object) -> list[str]:
    return [] if was == now else [f"{name}: {_shown(was)} then, {_shown(now)} now"]


def _shown(value: object) -> str:
    return "none" if value is None or value == [] else str(value)
