"""The shapes that kernel authors care about, and those where libraries are known to fall off a cliff. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ics_bench.kernels.spec import Direction, Problem

ROWS = (1, 128, 4096, 32768)
COLUMNS = (128, 256, 1024, 4096, 5120, 8192, 16384, 65536, 131072)
TAILS = ((4096, 2041), (4096, 2042), (4096, 2044), (4096, 2050), (4096, 4095))
"""Row lengths that 16-byte loads do not divide (pytorch issue 145145: layer norm where N % 4 ≠ 0)."""

CLIFFS: dict[str, tuple[tuple[int, ...], ...]] = {
    "layer": ((2**20, 128),),  # pytorch issue 69963: backward
    "rms": ((131072, 16384),),  # pytorch issues 157345, 185814: backward
    "batch": ((3136, 256),),  # pytorch issue 12006: BatchNorm1d
    "instance": ((2, 32, 128, 128, 128),),  # pytorch issue 59168: InstanceNorm3d
}
BATCH_MAPS = ((256, 64, 112, 112), (256, 128, 56, 56), (256, 512, 28, 28), (256, 1024, 14, 14), (256, 2048, 7, 7))
GROUP_MAPS = ((2, 320, 64, 64), (8, 640, 32, 32), (32, 320, 64, 64), (32, 1280, 16, 16), (32, 2560, 8, 8))
GROUPS = 32

SMALL: dict[str, tuple[tuple[int, ...], ...]] = {
    "layer": ((4096, 1024), (2048, 2041)),
    "rms": ((4096, 1024), (2048, 2041)),
    "batch": ((32, 64, 56, 56), (3136, 256)),
    "group": ((8, 320, 32, 32),),
    "instance": ((8, 64, 56, 56),),
}
"""A few of each kind, for a processor or a first look."""


def whole_table(dtypes: Sequence[str] = ("bfloat16", "float32")) -> Iterator[Problem]:
    """List every problem of the table, both ways."""
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        norm: (*((m, n) for n in COLUMNS for m in ROWS), *TAILS, *CLIFFS[norm]) for norm in ("layer", "rms")
    }
    shapes |= {
        "batch": (*BATCH_MAPS, *CLIFFS["batch"]),
        "group": GROUP_MAPS,
        "instance": (*BATCH_MAPS[1:], *CLIFFS["instance"]),
    }
    yield from _problems(shapes, dtypes)


def small_table(dtypes: Sequence[str] = ("float32", "bfloat16")) -> Iterator[Problem]:
    """List a few problems of each kind, both ways."""
    yield from _problems(SMALL, dtypes)


def _problems(shapes: dict[str, tuple[tuple[int, ...], ...]], dtypes: Sequence[str]) -> Iterator[Problem]:
    directions: tuple[Direction, ...] = ("forward", "backward")
    for norm, several in shapes.items():
        for dtype in dtypes:
            for direction in directions:
                for shape in several:
                    problem = Problem(norm, direction, shape, dtype, groups=GROUPS if norm == "group" else 1)
                    yield problem
                    if len(shape) in (4, 5):
                        yield replace(problem, layout="channels_last")
                    if norm == "batch":
                        yield replace(problem, training=False)
