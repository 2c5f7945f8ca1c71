"""Variants of our CUDA kernels, and of the copy that is their ceiling, against each other on a GPU.

``python benchmarks/kernel_variants.py --json FILE`` times, problem by problem and interleaved, what a change makes: how
memory is read and written, how many bytes a thread of the copy moves, how many blocks are started, how long a row may
be before blocks share it, and how many multiprocessors clusters are given. It is for whoever tunes the kernels: what it
finds best becomes the constant. Nothing is checked for correctness here.

A share is of the fastest copy in the same run. FILE gets a line of JSON for each problem.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

from ics_bench.core.environment import fingerprint
from ics_bench.kernels.cuda import rows
from ics_bench.kernels.cuda.geometry import VECTOR_BYTES, Launch, Plan, ceil_div
from ics_bench.kernels.cuda.source import source
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.race import name_of
from ics_bench.kernels.spec import ROW_NORMS, Direction, Problem, floor_bytes

STORE = "DEVICE void store16(void* to, uint4 words) { __stcs(static_cast<uint4*>(to), words); }"
LOAD = "ld.global.nc.L1::no_allocate.v4.u32"
COPY_VECTORS, COPY_BOUNDS = "constexpr int COPY_VECTORS = 4;", "KERNEL(512, 2) copy("

STORES = {
    "streaming": STORE,
    "plain": "DEVICE void store16(void* to, uint4 words) { *static_cast<uint4*>(to) = words; }",
    "through": "DEVICE void store16(void* to, uint4 words) { __stwt(static_cast<uint4*>(to), words); }",
}
"""Ways to write: as not to be read again, which is ours now; as usual; through to memory at once."""

LOADS = {
    "past L1": LOAD,
    "plain": "ld.global.v4.u32",
    "past L1, 256 B": "ld.global.nc.L1::no_allocate.L2::256B.v4.u32",
}
"""Ways to read: past the level-1 cache, which is ours now; as usual; and with the rest of 256 bytes asked for, too."""


@dataclass(frozen=True)
class Variant:
    """A change of the sources and of the planner's constants.

    Parameters
    ----------
    store, load : str
        Of `STORES` and `LOADS`.
    constants : mapping of str to value
        Of `ics_bench.kernels.cuda.rows`, by name.
    """

    store: str = "streaming"
    load: str = "past L1"
    constants: Mapping[str, Any] = field(default_factory=dict)

    def source(self, family: str) -> str:
        """Return a family's text with the change in it."""
        text = source(family)
        if STORE not in text or LOAD not in text:
            raise click.ClickException(f"{family} has no {STORE!r} or {LOAD!r} any more: mend this script")
        return text.replace(STORE, STORES[self.store]).replace(LOAD, LOADS[self.load])


@dataclass(frozen=True)
class Copy(Variant):
    """A copy with ``threads`` a block, each of which has ``vectors`` of 16 bytes in flight."""

    threads: int = 512
    vectors: int = 4

    def source(self, family: str) -> str:
        """Return the copy's text with the change in it."""
        text = super().source(family)
        if COPY_VECTORS not in text or COPY_BOUNDS not in text:
            raise click.ClickException(
                f"{family} has no {COPY_VECTORS!r} or {COPY_BOUNDS!r} any more: mend this script"
            )
        text = text.replace(COPY_VECTORS, f"constexpr int COPY_VECTORS = {self.vectors};")
        return text.replace(COPY_BOUNDS, f"KERNEL({self.threads}, 1) copy(")

    def plan(self, nbytes: int) -> Plan:
        """Plan to copy ``nbytes``, a multiple of 16, from ``x`` to ``y``."""
        vectors = nbytes // VECTOR_BYTES
        grid = (ceil_div(vectors, self.threads * self.vectors), 1, 1)
        arguments = ("x", "y", np.int64(vectors))
        return Plan((Launch("copy", "copy", grid, (self.threads, 1, 1), arguments),), Chains(0, 0, 0))


COPIES = {
    "ours": Copy(),
    **{f"{threads} x {vectors}": Copy(threads=threads, vectors=vectors)
       for threads, vectors in ((256, 1), (1024, 1), (256, 4), (1024, 4), (256, 8))},
    **{f"stores {store}": Copy(store=store) for store in STORES if store != "streaming"},
    **{f"loads {load}": Copy(load=load) for load in LOADS if load != "past L1"},
    "stores and loads plain": Copy(store="plain", load="plain"),
}  # fmt: skip


def kernels(problem: Problem) -> dict[str, Variant]:
    """List the variants of our kernel that a problem of rows may profit by."""
    found = {"ours": Variant(), "stores plain": Variant(store="plain")}
    for waves in (1, 2, 4):
        if waves != rows.WAVES[problem.direction]:
            found[f"{waves} waves"] = Variant(constants={"WAVES": {**rows.WAVES, problem.direction: waves}})
    most = rows.MOST_THREADS[problem.direction]
    half = Variant(constants={"MOST_THREADS": {**rows.MOST_THREADS, problem.direction: most // 2}})
    found[f"blocks of {most // 2}"] = half
    if problem.num_features > 2**14:
        found |= {
            f"{share:.0%} of the multiprocessors": Variant(constants={"CLUSTERED": share}) for share in (0.7, 0.91)
        }
    return found


SHAPES = (
    (2**19, 256), (131072, 1024), (32768, 4096), (32768, 16384), (8192, 32768), (4096, 65536), (2048, 131072),
)  # fmt: skip
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward")
PROBLEMS = [
    Problem(norm, direction, shape, dtype)
    for shape in SHAPES
    for dtype in ("bfloat16", "float32")
    for norm in ROW_NORMS
    for direction in DIRECTIONS
]


@contextmanager
def constants(module: ModuleType, values: Mapping[str, Any]) -> Iterator[None]:
    """Give some of a module's constants other values meanwhile."""
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def times(problem: Problem, seed: int) -> dict[str, float]:
    """Time every variant of a problem's kernel and of the copy of as many bytes, interleaved; medians in seconds."""
    import torch

    from ics_bench.kernels.capacity import free_bytes
    from ics_bench.kernels.clock import Call
    from ics_bench.kernels.cuda.launch import CupyEngine
    from ics_bench.kernels.cuda.operation import prepare
    from ics_bench.kernels.cuda_clock import Arm, on_clock_stream, time_on_gpu
    from ics_bench.kernels.inputs import draw
    from ics_bench.kernels.providers.cuda import Cuda
    from ics_bench.kernels.rotation import plan_gpu_sets
    from ics_bench.kernels.throughput import prepared_for
    from ics_bench.stats.ranks import median_interval

    device, ours, nbytes = torch.device("cuda", torch.cuda.current_device()), Cuda(), floor_bytes(problem)
    variants, size = kernels(problem), nbytes // 2 // VECTOR_BYTES * VECTOR_BYTES

    def copying(variant: Copy, count: int) -> Sequence[Call]:
        engine, made = CupyEngine(device.index, variant.source), variant.plan(size)
        first = torch.randn(size // 4, device=device)
        buffers = [{"x": first.clone(), "y": torch.empty_like(first)} for _ in range(count)]
        return [partial(engine.run, made, pair) for pair in buffers]

    with on_clock_stream(device):
        tensors = draw(problem, "normal", seed, str(device))
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        arms_count = len(COPIES) + len(variants)
        sets = plan_gpu_sets(nbytes, arms_count, cache, 2**36, free_bytes(str(device)))
        arms = {f"copy, {name}": Arm(copying(variant, sets.count)) for name, variant in COPIES.items()}
        for name, variant in variants.items():
            engine = CupyEngine(device.index, variant.source)
            with constants(rows, variant.constants):
                calls = [prepare(*prepared_for(ours, problem, tensors), engine) for _ in range(sets.count)]
            calls[0]()
            arms[name] = Arm(calls)
        samples = time_on_gpu(arms, random.Random(seed), device)
    return {name: median_interval(samples.seconds[name]).median for name in arms}


@click.command()
@click.option("--only", default="", metavar="REGEX", help="Problems, as in 'layer backward bfloat16 32768x4096'.")
@click.option("--seed", type=int, default=20250, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Add a line a problem here.")
def main(only: str, seed: int, json_file: Path | None) -> None:
    """Time, print, keep."""
    import torch

    from ics_bench.kernels.cuda.launch import why_not_here

    reason = why_not_here()
    if reason is not None:
        raise click.ClickException(reason)
    for problem in PROBLEMS:
        if not re.search(only, name_of(problem)):
            continue
        found, nbytes = times(problem, seed), floor_bytes(problem)
        ceiling = min(seconds for name, seconds in found.items() if name.startswith("copy, "))
        click.echo(name_of(problem))
        for name, seconds in sorted(found.items(), key=lambda item: item[1]):
            speed = nbytes / seconds / 1e9
            click.echo(f"  {name:32} {seconds * 1e6:10.1f} µs {speed:8.0f} GB/s {ceiling / seconds:7.1%}")
        if json_file:
            line = {"problem": name_of(problem), "bytes": nbytes, "seconds": found, "environment": fingerprint()}
            with json_file.open("a") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
