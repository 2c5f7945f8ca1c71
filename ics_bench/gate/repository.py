"""The git repository whose commits are compared."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.core.text import count

SHOWN_DIGITS = 10

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
"""A checkout of ours is nothing that somebody's hooks were written for."""

_ADDRESS = re.compile(r"(?:[a-z+]+://)?(?:[^@/]+@)?(?P<host>[^:/]*)(?::\d+(?=/))?[:/]+(?P<path>.*?)/*(?:\.git)?/*")
"""What ``https://host/path``, ``ssh://user@host:22/path`` and ``user@host:path`` have in common."""

OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as the user named it.

    Parameters
    ----------
    name : str
        A branch, a tag, ``HEAD~1``, a hash.
    hash : str
        Its 40 digits.
    subject : str
        First line of its message.
    """

    name: str
    hash: str
    subject: str

    @property
    def short(self) -> str:
        """First digits of the hash."""
        return self.hash[:SHOWN_DIGITS]

    def __str__(self) -> str:
        return self.short if self.hash.startswith(self.name) else f"{self.name} ({self.short})"


@dataclass(frozen=True, slots=True)
class Repository:
    """A git work tree.

    Parameters
    ----------
    root : Path
    """

    root: Path

    @classmethod
    def around(cls, folder: Path) -> Repository:
        """Find the repository that a folder lies in.

        Raises
        ------
        UsageError
            Without git, or outside a repository.
        """
        if shutil.which("git") is None:
            raise UsageError(
                "the gate compares commits and git is not installed; install it, "
                "or compare two stored results with ics-bench compare"
            )
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode:
            raise UsageError(_no_work_tree(folder, done.stderr))
        return cls(Path(done.stdout.rstrip("\n")))

    def resolve(self, name: str) -> Commit:
        """Find a commit by any name that git understands.

        Raises
        ------
        UsageError
            If there is none; with the near names.
        """
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if done.returncode:
            raise self._unknown(name)
        found = done.stdout.strip()
        return Commit(name, found, self._git("log", "-1", "--format=%s", found).stdout.strip())

    def _unknown(self, name: str) -> UsageError:
        names = self._git("for-each-ref", "--format=%(refname:short)").stdout.split()
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            remedy = f"did you mean {' or '.join(map(repr, near))}?"
        elif self._git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            remedy = "this clone is shallow: git fetch --unshallow --tags brings the rest"
        else:
            remedy = "git log, git branch --all and git tag list what there is"
        return UsageError(f"unknown commit {name!r}; {remedy}")

    def uncommitted(self) -> str:
        """Say what of the work tree is in no commit; empty where nothing is."""
        lines = self._git("status", "--porcelain").stdout.splitlines()
        changed = sum(not line.startswith("??") for line in lines)
        parts = [count(changed, "changed file")] if changed else []
        if len(lines) > changed:
            parts.append(count(len(lines) - changed, "untracked path"))
        return ", ".join(parts)

    def has_remote(self, address: str) -> bool:
        """Whether an address is that of a remote, however it is written: by https or ssh, with ``.git`` or without."""
        known = self._git("config", "--get-regexp", r"^remote\..*\.url$").stdout.splitlines()
        return _identity(address) in [_identity(line.partition(" ")[2]) for line in known]

    def read(self, commit: Commit, path: str) -> str | None:
        """Read a file at a commit; ``None`` where there is none."""
        done = self._git("show", f"{commit.hash}:{path}")
        return None if done.returncode else done.stdout

    def files(self, commit: Commit) -> list[str]:
        """List the files of a commit."""
        return self._git("ls-tree", "-r", "-z", "--name-only", commit.hash).stdout.split("\0")[:-1]

    def add_work_tree(self, folder: Path, commit: Commit) -> None:
        """Check a commit out into a new folder, submodules included.

        Raises
        ------
        UsageError
            If git cannot.
        """
        done = self._git(*NO_HOOKS, "worktree", "add", "--detach", "--quiet", str(folder), commit.hash)
        if not done.returncode and (folder / ".gitmodules").exists():
            done = _git(folder, *NO_HOOKS, "submodule", "update", "--init", "--recursive", "--quiet")
        if done.returncode:
            said = " ".join(done.stderr.split()[-60:])
            raise UsageError(f"{commit} cannot be checked out into {str(folder)!r}: {said}")

    def remove_work_tree(self, folder: Path) -> None:
        """Remove a work tree, and what git remembers of it."""
        removed = self._git("worktree", "remove", "--force", "--force", str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        if removed.returncode:  # git would remember what is no longer there
            self._git("worktree", "prune")

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _git(self.root, *arguments)


def _no_work_tree(folder: Path, said: str) -> str:
    """Word what git said of a folder that it calls no work tree."""
    if "dubious ownership" in said:
        found = re.search(r"repository at '(.*)'", said)
        root = shlex.quote(found[1] if found else str(folder))
        return (
            f"{str(folder)!r} lies in a git work tree of another user's, which git refuses to read; "
            f"say that it is safe: git config --global --add safe.directory {root}"
        )
    remedy = "run the gate in one, or compare two stored results with ics-bench compare"
    last = " ".join(said.split("\n")[-2:]).strip()
    return f"{str(folder)!r} lies in no git work tree ({last or 'git says nothing more'}); {remedy}"


def is_address(name: str) -> bool:
    """Whether asv would clone what a configuration calls its ``repo``, rather than find it on this disk.

    Examples
    --------
    >>> is_address("https://example.org/x"), is_address("git@example.org:x"), is_address("..")
    (True, True, False)
    """
    return "://" in name or name.endswith(".git") or re.match(r"[^/]+@[^/]+:", name) is not None


def _identity(address: str) -> tuple[str, str] | str:
    """Host and path of an address, for comparison."""
    found = _ADDRESS.fullmatch(address)
    return (found["host"].lower(), found["path"]) if found else address


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A hook or an outer git may have set variables that name another repository.
    kept = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER} | {"LC_ALL": "C"}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=kept, capture_output=True, text=True, errors="surrogateescape", check=False
    )
