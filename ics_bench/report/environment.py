"""The environments of runs side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ics_bench.results.run import Run

TITLES = {
    "python": "Python",
    "platform": "platform",
    "packages": "packages",
    "cpu": "processor",
    "cores": "cores",
    "cores_usable": "cores that the process may use",
    "memory_bytes": "memory",
    "cache_bytes": "largest cache",
    "gpu": "GPU",
    "source": "commit of ics-bench",
    "git": "commit of the working folder",
    "variables": "environment variables",
    "load_average": "load average at the start (1, 5, 15 min)",
}

PASSING = ("load_average",)
"""Fields that never agree."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the fingerprint, with its text in each run."""

    title: str
    values: tuple[str, ...]
    must_agree: bool = True

    @property
    def differs(self) -> bool:
        """Whether the runs disagree where they should not."""
        return self.must_agree and len(set(self.values)) > 1


def fields(runs: Sequence[Run]) -> list[Field]:
    """List every field that any of the runs recorded."""
    environments = [run.environment for run in runs]
    names = dict.fromkeys(
        [*(t for t in TITLES if any(t in e for e in environments)), *(n for e in environments for n in e)]
    )
    return [
        Field(TITLES.get(name, name), tuple(_text(name, e.get(name)) for e in environments), name not in PASSING)
        for name in names
    ]


def _text(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if value in ([], {}):
        return "none"
    if name.endswith("_bytes") and isinstance(value, int | float):
        return _bytes(value)
    if name in ("packages", "variables") and isinstance(value, dict):
        joint = " " if name == "packages" else "="
        return ", ".join(f"{key}{joint}{entry}" for key, entry in value.items())
    if name in ("git", "source") and isinstance(value, dict):
        state = {True: ", with uncommitted changes", False: "", None: ", state unknown"}[value.get("dirty")]
        return f"{str(value.get('commit'))[:12]}{state}"
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(f"{item:.2f}" if isinstance(item, float) else str(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _bytes(amount: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= size:
            return f"{amount / size:.3g} {unit}"
    return f"{amount:g} B"
