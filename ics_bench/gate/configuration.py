"""What a project's ``asv.conf.json`` says at a commit about building it and finding its benchmarks."""

from __future__ import annotations

import importlib.util
import json
import os
import posixpath
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.gate.repository import Commit, Repository, is_address

NAMES = ("asv.conf.json", "asv.conf.jsonc")

BUILD_COMMAND = ("PIP_NO_BUILD_ISOLATION=0 python -m build", "python -m pip wheel -w {build_cache_dir} {build_dir}")
INSTALL_COMMAND = ("in-dir={env_dir} python -m pip install {wheel_file} --force-reinstall",)
"""asv's defaults."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a project is built and where its benchmarks are.

    Parameters
    ----------
    path : str
        The file, relative to the root of the repository.
    content : dict
        As asv reads it.
    """

    path: str
    content: dict[str, Any]

    @property
    def folder(self) -> str:
        """Folder of the file, relative to the root; what it names is relative to this."""
        return posixpath.dirname(self.path)

    @property
    def project(self) -> str:
        """Name of the project."""
        return str(self.content.get("project", "project"))

    @property
    def benchmarks(self) -> str:
        """Folder of the benchmarks, relative to the root."""
        return posixpath.normpath(posixpath.join(self.folder, self.content.get("benchmark_dir") or "benchmarks"))

    @property
    def build_folder(self) -> str:
        """Folder of the project that is built, relative to the root."""
        return posixpath.normpath(self.content.get("repo_subdir") or ".")

    @property
    def environment(self) -> str:
        """Specification of asv's environment where nobody gives one."""
        return "" if self.content.get("environment_type") else "virtualenv"

    @property
    def build_commands(self) -> tuple[str, ...]:
        """Commands that build the project."""
        return _commands(self.content.get("build_command"), BUILD_COMMAND)

    @property
    def install_commands(self) -> tuple[str, ...]:
        """Commands that install what was built."""
        return _commands(self.content.get("install_command"), INSTALL_COMMAND)

    @property
    def install_seconds(self) -> float:
        """How long each of those commands may take."""
        return float(self.content.get("install_timeout") or 600)

    @property
    def benchmark_seconds(self) -> float:
        """How long a benchmark may take that does not say so itself."""
        return float(self.content.get("default_benchmark_timeout") or 60)


def _commands(given: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return default
    return (given,) if isinstance(given, str) else tuple(given)


def require_asv() -> None:
    """Check that asv is there, which reads the configuration and builds environments.

    Raises
    ------
    UsageError
        If it is not.
    """
    if importlib.util.find_spec("asv") is None:
        raise UsageError(
            "the gate builds and finds benchmarks as asv does, and asv is not installed; "
            "pip install 'ics-bench[gate]'; ics-bench compare works without it"
        )


def locate(repository: Repository, commit: Commit, folder: Path, given: str | None) -> str:
    """Find the configuration of a repository: the one named, the one around ``folder``, or the only one.

    Returns
    -------
    str
        Its path, relative to the root of the repository.

    Raises
    ------
    UsageError
        If there is none, or several to choose from.
    """
    files = set(repository.files(commit))
    if given is not None:
        inside = os.path.relpath(folder.resolve() / given, repository.root)
        if inside not in files:
            raise UsageError(f"{given!r} is no file of {commit}; --config names the asv.conf.json of the repository")
        return inside
    here = folder.resolve()
    for around in (here, *here.parents):
        if not around.is_relative_to(repository.root):
            break
        for name in NAMES:
            path = posixpath.normpath((around.relative_to(repository.root) / name).as_posix())
            if path in files:
                return path
    found = sorted(path for path in files if posixpath.basename(path) in NAMES)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{commit} has several configurations: {', '.join(found)}; pick one with --config")
    raise UsageError(f"{commit} has no asv.conf.json, so no benchmarks; `asv quickstart` writes one")


def read_configuration(repository: Repository, commit: Commit, path: str) -> Configuration:
    """Read the configuration of a commit, and check that it has benchmarks.

    Raises
    ------
    UsageError
        If the commit has no configuration or no benchmarks, or the configuration cannot be read.
    """
    import json5  # asv reads its configuration with it

    text = repository.read(commit, path)
    if text is None:
        raise UsageError(f"{commit} has no {path}, so no benchmarks; the gate compares commits that both have them")
    try:
        content = json5.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} of {commit} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} of {commit} holds {type(content).__name__} where asv expects an object")
    found = Configuration(path, json.loads(json.dumps(content)))
    _check(found, commit, repository)
    inside = f"{found.benchmarks}/"
    if not any(file.startswith(inside) for file in repository.files(commit)):
        raise UsageError(
            f"{commit} has no files in {inside}, so no benchmarks; the gate compares commits that have them"
        )
    return found


def build_requirements(project: Path) -> list[str]:
    """List what a ``pyproject.toml`` needs for building; nothing where there is none, or none that can be read."""
    try:
        needed = tomllib.loads(project.read_text())["build-system"]["requires"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in needed]


def _check(found: Configuration, commit: Commit, repository: Repository) -> None:
    repo = str(found.content.get("repo", "."))
    if is_address(repo) and not repository.has_remote(repo):
        raise UsageError(
            f"{found.path} of {commit} benchmarks another repository, {repo!r}, which is no remote of this one; the "
            "gate compares commits of the one that holds the benchmarks; git remote add names it, if it is the same"
        )
    for key, kinds in (
        ("benchmark_dir", str),
        ("repo_subdir", str),
        ("build_command", (str, list)),
        ("install_command", (str, list)),
        ("install_timeout", (int, float)),
        ("default_benchmark_timeout", (int, float)),
    ):
        value = found.content.get(key)
        texts = not isinstance(value, list) or all(isinstance(entry, str) for entry in value)
        if value is not None and not (isinstance(value, kinds) and texts):
            raise UsageError(
                f"{key} in {found.path} of {commit} is {value!r:.60}; asv's documentation says what it may be"
            )
