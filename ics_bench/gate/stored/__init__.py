"""Results that were stored earlier, of our own runs, asv and pytest-benchmark, and how two of them compare."""

from ics_bench.gate.stored.compare import compare
from ics_bench.gate.stored.directions import Directions
from ics_bench.gate.stored.reading import read
from ics_bench.gate.stored.result import Entry, Stored

__all__ = ["Directions", "Entry", "Stored", "compare", "read"]
