"""asv's face of the declarations: suites that anyone's ``benchmarks/`` can subclass.

Importing this package, and so discovery by asv, imports no torch.
"""

from ics_bench.asv.claims import ClaimSuite
from ics_bench.asv.server import preload
from ics_bench.asv.timing import TimeSuite
from ics_bench.asv.tracking import TrackSuite

__all__ = ["ClaimSuite", "TimeSuite", "TrackSuite", "preload"]
