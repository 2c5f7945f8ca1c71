"""Builds one side of the comparison: requirements as asv installs them, the project as its configuration says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ics_bench.gate.configuration import Configuration
from ics_bench.gate.processes import complete, last_lines
from ics_bench.gate.repository import Commit

ENVIRONMENT_SECONDS = 3600
"""Longest that installing the requirements may take; asv limits each installation by itself."""

KEPT_BUILDS = 16

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

OVERLAY = """\
import json, os, site, sys, sysconfig, venv
venv.EnvBuilder(symlinks=True).create(sys.argv[1])
own = sysconfig.get_path("purelib", "posix_prefix", {"base": sys.argv[1], "platbase": sys.argv[1]})
with open(os.path.join(own, "requirements.pth"), "w") as file:
    for folder in sys.path:
        if os.path.basename(folder) in ("site-packages", "dist-packages"):
            file.write(f"import site; site.addsitedir({folder!r})\\n")
print(own)
"""
"""Makes a virtual environment that finds in the one running this what it has not itself."""


class BuildError(Exception):
    """A side could not be built.

    Parameters
    ----------
    what : str
        What failed.
    said : sequence of str
        The last lines of its output.
    """

    def __init__(self, what: str, said: Sequence[str]) -> None:
        super().__init__(what)
        self.what, self.said = what, tuple(said)


@dataclass(frozen=True, slots=True)
class Requirements:
    """An environment with what the matrix asks for, shared by all commits that ask for the same.

    Parameters
    ----------
    python : str
    name : str
        asv's name for it.
    build_variables, run_variables : mapping of str to str
        What the matrix sets for building and for running.
    left_out : sequence of str
        asv's names for the other environments of the matrix, which are not measured.
    """

    python: str
    name: str
    build_variables: Mapping[str, str]
    run_variables: Mapping[str, str]
    left_out: Sequence[str] = ()


def clean_variables() -> dict[str, str]:
    """Environment variables of this process but for those that would lead another Python astray, on one thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "ASV_"))}
    return kept | dict.fromkeys(THREADS, "1") | {"PYTHONNOUSERSITE": "1"}


def make_requirements(
    tree: Path, configuration: Configuration, cache: Path, specification: str, log: Path
) -> Requirements:
    """Have asv install what the matrix asks for, or find it installed.

    Parameters
    ----------
    tree : Path
        Checkout of the commit; its build requirements belong to it too.
    cache : Path
        Folder that environments are kept in.
    specification : str
        asv's, or empty for what the configuration says.
    log : Path

    Raises
    ------
    BuildError
    """
    answer = log.with_suffix(".answer")
    program = str(Path(__file__).with_name("requirements.py"))
    arguments = [str(tree / configuration.path), str(cache), specification or configuration.environment, str(answer)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ASV_ENV")}
    command = [sys.executable, "-P", program, *arguments]
    code = complete(command, tree / configuration.build_folder, variables, log, ENVIRONMENT_SECONDS)
    if code is None:
        raise BuildError(f"its requirements were not installed within {ENVIRONMENT_SECONDS:g} s", last_lines(log))
    if code != 0:
        raise BuildError("its requirements cannot be installed", last_lines(log))
    found = json.loads(answer.read_text())
    return Requirements(**found)


def make_overlay(folder: Path, requirements: Requirements) -> Path:
    """Make a virtual environment on top of another one; return where its packages lie.

    A second copy of the requirements would take minutes and gigabytes, and the sides would differ in
    where large libraries lie in memory.

    Raises
    ------
    BuildError
    """
    done = subprocess.run(
        [requirements.python, "-c", OVERLAY, str(folder)],
        env=clean_variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError("its virtual environment cannot be made", (done.stdout + done.stderr).splitlines()[-20:])
    return Path(done.stdout.strip())


def build(
    commit: Commit, configuration: Configuration, requirements: Requirements, folder: Path, builds: Path, log: Path
) -> bool:
    """Build the project of a checkout, or find it built, and install it.

    Parameters
    ----------
    folder : Path
        Holds the checkout in ``tree``, and the environment in ``env``.
    builds : Path
        Folder that builds are kept in.

    Returns
    -------
    bool
        Whether it was found built.

    Raises
    ------
    BuildError
    """
    own = make_overlay(folder / "env", requirements)
    before = set(own.iterdir())
    kept = builds / f"{commit.hash}-{_digest(configuration, requirements)}"
    builder = _Builder(commit, configuration, requirements, folder, kept, log)
    found = (kept / "complete").exists()
    if not found:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        builder.run(configuration.build_commands)
        if builder.wheels():  # what was built in the checkout goes with it
            (kept / "complete").touch()
    kept.touch()
    builder.run(configuration.install_commands)
    if configuration.install_commands and set(own.iterdir()) == before:
        raise BuildError(
            "install_command left nothing in its environment, so another copy of the project would be measured; "
            "pip needs --force-reinstall where the requirements hold the project too",
            last_lines(log),
        )
    _forget_old(builds)
    return found


def _digest(configuration: Configuration, requirements: Requirements) -> str:
    means = [configuration.build_commands, configuration.build_folder, requirements.name, requirements.python]
    return hashlib.sha256(json.dumps(means).encode()).hexdigest()[:12]


def _forget_old(builds: Path) -> None:
    by_age = sorted(builds.iterdir(), key=lambda folder: folder.stat().st_mtime)
    for folder in by_age[:-KEPT_BUILDS]:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Builder:
    commit: Commit
    configuration: Configuration
    requirements: Requirements
    folder: Path
    kept: Path
    log: Path

    def wheels(self) -> list[Path]:
        return sorted(self.kept.glob("*.whl"))

    def run(self, commands: Sequence[str]) -> None:
        """Run commands as asv does: with its variables in braces, ``in-dir=``, ``return-code=`` and ``NAME=value``."""
        from asv.util import UserError, interpolate_command

        for command in commands:
            names = self._names()
            try:
                words, variables, codes, inside = interpolate_command(command, names)
            except (UserError, ValueError, IndexError, AttributeError, TypeError) as error:
                raise BuildError(
                    f"{self.configuration.path}: {command!r} cannot be read as asv reads it: {error}", ()
                ) from error
            if not words:
                raise BuildError(f"{self.configuration.path}: {command!r} names no program to run; leave it out", ())
            asv_variables = {f"ASV_{name.upper()}": value for name, value in names.items()}
            environment = variables_for(self.folder, self.requirements) | dict(self.requirements.build_variables)
            environment |= {"ASV": "true", **asv_variables, **variables}
            # A program is looked for as a shell would, in the environment first.
            words[0] = shutil.which(words[0], path=environment["PATH"]) or words[0]
            limit = self.configuration.install_seconds
            try:
                code = complete(words, Path(inside or names["build_dir"]), environment, self.log, limit)
            except OSError as error:
                raise BuildError(f"{command!r} cannot be started: {error}", ()) from error
            if code is None:
                raise BuildError(
                    f"{command!r} took longer than the {limit:g} s of install_timeout", last_lines(self.log)
                )
            if codes is not None and code not in codes:
                raise BuildError(f"{command!r} ended with exit code {code}", last_lines(self.log))

    def _names(self) -> dict[str, str]:
        tree = self.folder / "tree"
        names = {
            "project": self.configuration.project,
            "conf_dir": str(tree / self.configuration.folder),
            "env_name": self.requirements.name,
            "env_dir": str(self.folder / "env"),
            "env_type": "virtualenv",
            "build_dir": str(tree / self.configuration.build_folder),
            "build_cache_dir": str(self.kept),
            "commit": self.commit.hash,
        }
        wheels = self.wheels()
        if len(wheels) > 1:
            raise BuildError(f"the build left several wheels: {', '.join(wheel.name for wheel in wheels)}", ())
        return names | ({"wheel_file": str(wheels[0])} if wheels else {})


def variables_for(folder: Path, requirements: Requirements) -> dict[str, str]:
    """Environment variables of a side's processes: its programs are found before others."""
    variables = clean_variables()
    programs = (str(folder / "env" / "bin"), str(Path(requirements.python).parent))
    return variables | {"PATH": os.pathsep.join([*programs, variables.get("PATH", os.defpath)])}
