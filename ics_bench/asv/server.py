"""What asv's server, which forks the benchmarks, holds ready for them."""

from __future__ import annotations

import contextlib
import sys


def preload() -> None:
    """Import torch once for all benchmarks, where this process is the server that asv forks them from.

    For a ``benchmarks/__init__.py``. asv's launch method ``forkserver`` imports the suite in one process and forks
    each benchmark from it; otherwise each of them spends seconds on the import. Elsewhere this does nothing,
    so that discovering a suite stays quick.
    """
    if sys.argv[1:2] == ["run_server"]:
        with contextlib.suppress(ImportError):
            import torch  # noqa: F401
