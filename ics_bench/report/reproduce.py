"""How to repeat a run, as commands that can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

FLAGS = {"norm": "--norm", "architecture": "--model"}
"""Axes that have an option of their own on the command line; the others are given by ``--case``."""

USUAL = {"seeds": None, "first_seed": 0, "device": "cpu"}
"""Settings that are left out where they are these."""

CLAIMS = """\
from pathlib import Path

from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import start

with start(Settings({arguments}), Path("claims-run")) as session:
    session.measure(parse_executor("inline"))"""


def command(settings: Mapping[str, Any]) -> str:
    """Write the command that measures ``settings`` again, quoted for a shell; empty where no command can."""
    profile = ["--profile", str(settings.get("profile"))]
    if settings.get("claims"):
        unusual = _unusual(settings)
        first = ["--first-seed", str(unusual.pop("first_seed"))] if "first_seed" in unusual else []
        if unusual:
            return ""  # each claim has its own number of seeds on the command line
        return shlex.join(["ics-bench", "claims", *map(str, settings["claims"]), *profile, *first, "--report"])
    words = ["ics-bench", "run", *map(str, settings.get("workloads", ())), *profile]
    for key, values in settings.get("overrides", {}).items():
        for value in values:
            words += [FLAGS[key], str(value)] if key in FLAGS else ["--case", f"{key}={value}"]
    for key, value in _unusual(settings).items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return shlex.join([*words, "--report"])


def python(settings: Mapping[str, Any]) -> str:
    """Write the same for Python."""
    unusual = [f"{key}={value!r}" for key, value in _unusual(settings).items()]
    profile = f"profile={settings.get('profile')!r}"
    if settings.get("claims"):
        return CLAIMS.format(arguments=", ".join([profile, f"claims={tuple(settings['claims'])!r}", *unusual]))
    arguments = [*(repr(name) for name in settings.get("workloads", ())), profile]
    overrides = {key: list(values) for key, values in settings.get("overrides", {}).items()}
    if overrides:
        arguments.append(f"cases={overrides!r}")
    return f"ics_bench.run({', '.join([*arguments, *unusual])})"


def _unusual(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key, usual in USUAL.items() if settings.get(key, usual) != usual}
