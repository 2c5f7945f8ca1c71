"""The text of the kernels, and every instantiation of them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from ics_bench.kernels.cuda.geometry import CLUSTERS, CTYPES, VECTOR_BYTES
from ics_bench.kernels.spec import DTYPE_BYTES

FOLDER = Path(__file__).parent
HEADERS = ("rows.cuh", "common.cuh")
"""What sources include, each before what it includes itself."""

FAMILIES = ("row_norm", "long_rows", "channel_norm", "group_norm", "partials", "copy")
"""Source files, without their suffix."""

OPTIONS = ("--std=c++17",)

CUPY_OPTIONS = ("-ftz=true",)
"""What CuPy adds of its own accord."""


@cache
def source(family: str) -> str:
    """One translation unit without includes: CuPy keys its cache of compiled kernels by this text alone."""
    text = (FOLDER / f"{family}.cu").read_text(encoding="utf-8")
    for name in HEADERS:
        header = (FOLDER / name).read_text(encoding="utf-8").replace("#pragma once\n", "")
        text = text.replace(f'#include "{name}"', header, 1)
    if "#include" in text:
        raise ValueError(f"{family}.cu and what it includes may include {', '.join(HEADERS)}, each once")
    return text


def digest() -> str:
    """Fingerprint of all sources and options: what was compiled from others is out of date."""
    text = "\0".join((*map(source, FAMILIES), *OPTIONS, "", *CUPY_OPTIONS))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def instantiations(family: str, clusters: bool) -> tuple[str, ...]:
    """Name expressions of every kernel that a plan can ask for.

    Parameters
    ----------
    family : str
    clusters : bool
        Whether the GPU has clusters of blocks.
    """
    single = {
        "partials": ("sum_partials",),
        "copy": ("copy",),
        "channel_norm": ("channel_statistics", "channel_evaluation", "channel_gradients"),
    }.get(family, ())
    sizes = CLUSTERS if clusters else (1,)
    norms = [f"{norm}{residual}" for norm in ("Layer", "Rms") for residual in ("", ", true")]
    names: list[str] = []
    for dtype, ctype in CTYPES.items():
        widest = VECTOR_BYTES // DTYPE_BYTES[dtype]
        stem, directions = family.split("_")[0], ["forward", "backward"]
        if family == "channel_norm":
            directions += ["moments", "sums"]
            options = [f"{width}, {layout}" for width in (widest, 1) for layout in ("Planes", "Columns")]
        elif family == "group_norm":
            options = [*(f"{widest}, {size}" for size in sizes), "1, 1"]
        elif family == "long_rows":
            options = [f"{option}, {norm}" for option in (f"{widest}, {sizes[-1]}", "1, 1") for norm in norms]
        elif family == "row_norm":
            owners = ["PartOfWarp", *(f"Blocks<{size}>" for size in sizes)]
            wide = [f"{widest}, {owner}, {norm}" for owner in owners for norm in norms]
            options = wide + [f"1, {owner}, {norm}" for owner in owners[:2] for norm in norms]
        else:
            continue
        names += [f"{stem}_{direction}<{ctype}, {option}>" for direction in directions for option in options]
    return (*names, *single)
