"""How to repeat a run, as commands that can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

FLAGS = {"norm": "--norm", "architecture": "--model"}
"""Axes that have an option of their own on the command line; the others are given by ``--case``."""


def command(settings: Mapping[str, Any]) -> str:
    """Write the command that measures ``settings`` again, quoted for a shell."""
    words = ["ics-bench", "run", *map(str, settings.get("workloads", ())), "--profile", str(settings.get("profile"))]
    for key, values in settings.get("overrides", {}).items():
        for value in values:
            words += [FLAGS[key], str(value)] if key in FLAGS else ["--case", f"{key}={value}"]
    if settings.get("seeds") is not None:
        words += ["--seeds", str(settings["seeds"])]
    if settings.get("first_seed"):
        words += ["--first-seed", str(settings["first_seed"])]
    if settings.get("device", "cpu") != "cpu":
        words += ["--device", str(settings["device"])]
    return shlex.join([*words, "--report"])


def python(settings: Mapping[str, Any]) -> str:
    """Write the same as a call of the Python API."""
    arguments = [repr(name) for name in settings.get("workloads", ())]
    arguments.append(f"profile={settings.get('profile')!r}")
    overrides = {key: list(values) for key, values in settings.get("overrides", {}).items()}
    if overrides:
        arguments.append(f"cases={overrides!r}")
    for key, usual in (("seeds", None), ("first_seed", 0), ("device", "cpu")):
        if settings.get(key, usual) != usual:
            arguments.append(f"{key}={settings[key]!r}")
    return f"ics_bench.run({', '.join(arguments)})"
