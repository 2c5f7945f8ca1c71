"""Suites that keep a journal of what ran in which process."""

from __future__ import annotations

import json
from pathlib import Path

JOURNAL = """
import gc, json, os, sys
import answers

def note(name):
    entry = {"name": name, "pid": os.getpid(), "side": answers.ANSWER, "prefix": sys.prefix, "hash": hash("x")}
    entry |= {"gc": gc.isenabled(), "threads": os.environ["OMP_NUM_THREADS"], "files": __file__}
    with open(JOURNAL, "a") as file:
        file.write(json.dumps(entry) + "\\n")
"""


def write_suite(project, text):
    project.write("benchmarks/suite.py", f"JOURNAL = {str(project.folder / 'journal')!r}\n{JOURNAL}\n{text}")
    project.commit()
    project.replace("src/answers.py", "42", "43")
    project.commit()


def journal(project):
    path: Path = project.folder / "journal"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return entries


def epochs(entries):
    """What each process measured, in the order in which processes began."""
    by_process: dict[int, list[dict]] = {}
    for entry in entries:
        by_process.setdefault(entry["pid"], []).append(entry)
    return list(by_process.values())
