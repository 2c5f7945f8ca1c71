"""Foreign JSON, read with care: nothing huge, nothing nested without end, nothing that runs code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.core.text import why
from ics_bench.results.codec import strict_loads

MOST_BYTES = 256 << 20

PROGRAMS = {b"\x80": "a pickle", b"PK\x03\x04": "a zip archive, such as a .pt file", b"\x93NUMPY": "a NumPy file"}
"""What files begin with that are not read here: unpickling runs whatever code the file holds."""

SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz", ".joblib")

_REMEDY = "name a run's folder, or a JSON file of asv or pytest-benchmark"


def read_json(path: Path) -> Any:
    """Parse a file of JSON, bare NaN and infinities included: who may write them is the format's affair.

    Raises
    ------
    UsageError
        If it cannot be read, is no JSON, repeats a key, or is larger or deeper than any result.
    """
    if path.suffix.lower() in SUFFIXES:
        raise UsageError(f"{str(path)!r} is no JSON by its name, and nothing else is read; {_REMEDY}")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {why(error)}; {_REMEDY}") from error
    for magic, kind in PROGRAMS.items():
        if content.startswith(magic):
            raise UsageError(f"{str(path)!r} is {kind}, and only JSON is read; {_REMEDY}")
    if len(content) > MOST_BYTES:
        raise UsageError(f"{str(path)!r} has more than {MOST_BYTES >> 20} MiB; {_REMEDY}")
    try:
        return strict_loads(content, constants=True)
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is no JSON: {error}; {_REMEDY}") from error


def broken(path: Path, tool: str, error: Exception) -> UsageError:
    """Describe a file that looks like a tool's and is not whole."""
    return UsageError(f"{str(path)!r} is not what {tool} writes: {error!r:.120}; write it again with {tool}")
