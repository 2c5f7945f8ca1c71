"""The shapes that kernel authors care about, and those where libraries are known to fall off a cliff. No torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ics_bench.kernels.spec import CHANNELS_LAST_RANKS, ROW_NORMS, Direction, Problem

ROWS = (1, 128, 4096, 32768)
COLUMNS = (128, 256, 1024, 4096, 5120, 8192, 16384, 65536, 131072)
TAILS = tuple((4096, columns) for columns in (*range(2040, 2051), 4095))
"""Row lengths around one that 16-byte loads divide (pytorch issue 145145: layer norm where N % 4 ≠ 0)."""

CLIFFS: dict[str, tuple[tuple[int, ...], ...]] = {
    "layer": ((2**20, 128),),  # pytorch issue 69963: backward
    "rms": ((131072, 16384),),  # pytorch issues 157345, 185814: backward
    "batch": ((3136, 256),),  # pytorch issue 12006: BatchNorm1d
    "instance": ((2, 32, 128, 128, 128),),  # pytorch issue 59168: InstanceNorm3d
}
BATCH_MAPS = ((256, 64, 112, 112), (256, 128, 56, 56), (256, 512, 28, 28), (256, 1024, 14, 14), (256, 2048, 7, 7))
GROUP_MAPS = ((2, 320, 64, 64), (8, 640, 32, 32), (32, 320, 64, 64), (32, 1280, 16, 16), (32, 2560, 8, 8))
GROUPS = 32

VARIANT_SHAPES = ((4096, 1024), (32768, 8192))
"""Rows that are measured with every option, too."""

SMALL: dict[str, tuple[tuple[int, ...], ...]] = {
    "layer": ((4096, 1024), (2048, 2041)),
    "rms": ((4096, 1024), (2048, 2041)),
    "batch": ((32, 64, 56, 56), (3136, 256)),
    "group": ((8, 320, 32, 32),),
    "instance": ((8, 64, 56, 56),),
}
"""A few of each kind, for a processor or a first look."""


def whole_table(dtypes: Sequence[str] = ("bfloat16", "float32")) -> list[Problem]:
    """List every problem of the table, both ways; norms take turns, so that a part of it has some of each."""
    rows = (*((m, n) for n in COLUMNS for m in ROWS), *TAILS)
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "layer": (*CLIFFS["layer"], *rows),
        "rms": (*CLIFFS["rms"], *rows),
        "batch": (*CLIFFS["batch"], *BATCH_MAPS),
        "group": GROUP_MAPS,
        "instance": (*CLIFFS["instance"], *BATCH_MAPS[1:]),
    }
    return _take_turns([list(_problems(norm, several, dtypes)) for norm, several in shapes.items()])


def small_table(dtypes: Sequence[str] = ("float32", "bfloat16")) -> list[Problem]:
    """List a few problems of each kind, both ways."""
    return _take_turns([list(_problems(norm, several, dtypes)) for norm, several in SMALL.items()])


def variants(problem: Problem) -> Iterator[Problem]:
    """List the same problem with each of the options that its norm has."""
    if problem.norm in ROW_NORMS:
        yield replace(problem, zero_centered=True)
        yield replace(problem, residual=True)
        yield replace(problem, residual=True, zero_centered=True)


def _take_turns(lists: Sequence[list[Problem]]) -> list[Problem]:
    turns = itertools.zip_longest(*lists)
    return [problem for turn in turns for problem in turn if problem is not None]


def _problems(norm: str, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str]) -> Iterator[Problem]:
    directions: tuple[Direction, ...] = ("forward", "backward")
    groups = GROUPS if norm == "group" else 1
    for shape, dtype, direction in itertools.product(shapes, dtypes, directions):
        problem = Problem(norm, direction, shape, dtype, groups=groups)
        yield problem
        if len(shape) in CHANNELS_LAST_RANKS:
            yield replace(problem, layout="channels_last")
        if norm == "batch":
            yield replace(problem, training=False)
        if shape in VARIANT_SHAPES:
            yield from variants(problem)
