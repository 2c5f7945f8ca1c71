"""Has asv make the environment that a configuration's matrix asks for; a program of its own, started by the gate."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(configuration: str, environments: str, specification: str, answer: str) -> None:
    """Make the first environment of the matrix, or find it made; write down where its Python is, and the others' names.

    Parameters
    ----------
    configuration : str
        Path of the ``asv.conf.json``.
    environments : str
        Folder that environments are made in and kept.
    specification : str
        asv's, such as ``existing`` or ``virtualenv:3.12``; empty for what the configuration says.
    answer : str
        File to write: ``python``, ``name``, ``build_variables``, ``run_variables`` and ``left_out``.
    """
    from asv.config import Config
    from asv.environment import ExistingEnvironment, get_environments

    settings = Config.load(configuration)
    settings.env_dir = environments
    settings.branches = settings.branches or [None]
    environments_found = list(get_environments(settings, [specification] if specification else []))
    if not environments_found:
        sys.exit(f"asv finds no environment {specification or settings.environment_type!r} that it can make here")
    found, *others = environments_found
    found.create()
    existing = isinstance(found, ExistingEnvironment)
    content = {
        "python": found._executable if existing else found.find_executable("python"),
        "name": found.name,
        "build_variables": found.build_env_vars,
        "run_variables": found.env_vars,
        "left_out": [other.name for other in others],
    }
    Path(answer).write_text(json.dumps(content))


if __name__ == "__main__":
    main(*sys.argv[1:])
