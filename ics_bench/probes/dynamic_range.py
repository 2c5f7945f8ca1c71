"""Where a signal leaves the range of its floating-point format."""

from __future__ import annotations

import math
from collections.abc import Sequence


def first_underflow(rms: Sequence[float], smallest_normal: float) -> float:
    """Position, from 1, of the first root mean square below the format's smallest normal number.

    From there on values lose precision and then vanish. The smallest *normal* number is the border
    because what lies under it depends on the hardware: AMX and AVX-512 bfloat16 instructions take
    subnormal numbers for zero, other paths keep them.

    Returns
    -------
    float
        ``inf`` if it never happens.
    """
    return next((float(k) for k, value in enumerate(rms, 1) if value < smallest_normal), math.inf)


def first_overflow(rms: Sequence[float]) -> float:
    """Position, from 1, of the first value that is infinite or NaN; ``inf`` if there is none."""
    return next((float(k) for k, value in enumerate(rms, 1) if not math.isfinite(value)), math.inf)
