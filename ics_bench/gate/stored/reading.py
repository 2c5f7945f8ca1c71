"""Tells what wrote a stored result, and reads it."""

from __future__ import annotations

from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.gate.stored import asv_files, pytest_benchmark_files
from ics_bench.gate.stored.directions import Directions
from ics_bench.gate.stored.json_file import read_json
from ics_bench.gate.stored.our_runs import read_run
from ics_bench.gate.stored.result import Stored


def read(path: str | Path, directions: Directions) -> Stored:
    """Read a run's folder, or a JSON file of asv or of pytest-benchmark.

    Parameters
    ----------
    path : path
    directions : Directions
        For the files of other tools, which do not say which way is better.

    Raises
    ------
    UsageError
        If it is none of these, or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return read_run(path)
    content = read_json(path)
    if asv_files.looks_like(content):
        return asv_files.read_asv(path, content, directions)
    if pytest_benchmark_files.looks_like(content):
        return pytest_benchmark_files.read_pytest_benchmark(path, content, directions)
    raise UsageError(
        f"{str(path)!r} is JSON of neither asv nor pytest-benchmark; name a run's folder, a file of asv's such as "
        "results/MACHINE/COMMIT-ENVIRONMENT.json, or what pytest wrote with --benchmark-json"
    )
