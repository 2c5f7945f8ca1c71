"""Registers and spills of every CUDA kernel on every architecture, compiled by NVRTC without a GPU.

``python benchmarks/kernel_resources.py [--json FILE]`` compiles some 800 kernels, prints the largest of each kind, and
exits 1 where one spills. The tests compare with what is kept in ``reports/kernels/resources.json``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import astuple
from pathlib import Path

import click

from ics_bench.kernels.cuda.resources import compile_all, why_not
from ics_bench.kernels.cuda.source import digest


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every kernel's.")
def main(json_file: Path | None) -> None:
    """Compile, print, keep."""
    reason = why_not()
    if reason is not None:
        raise click.ClickException(reason)
    from cupy.cuda import nvrtc

    found = compile_all()
    most: dict[str, dict[str, int]] = defaultdict(dict)
    for architecture, kernels in found.items():
        for name, taken in kernels.items():
            kind = name.partition("<")[0]
            most[kind][architecture] = max(taken.registers, most[kind].get(architecture, 0))
    click.echo(
        f"{'kernel':20}" + "".join(f"{architecture:>8}" for architecture in found) + "   most registers a thread"
    )
    for kind, by_architecture in sorted(most.items()):
        click.echo(f"{kind:20}" + "".join(f"{by_architecture[architecture]:8}" for architecture in found))
    spilling = [(one, name) for one, kernels in found.items() for name, taken in kernels.items() if taken.spill_bytes]
    counts = ", ".join(f"{len(kernels)} for {architecture}" for architecture, kernels in found.items())
    click.echo(f"{counts}; {len(spilling)} spill")
    if json_file:
        kept = {
            "nvrtc": ".".join(map(str, nvrtc.getVersion())),
            "sources": digest(),
            "columns": ["registers", "stack_bytes", "spill_bytes"],
            "kernels": {
                one: {name: astuple(taken) for name, taken in kernels.items()} for one, kernels in found.items()
            },
        }
        indented = json.dumps(kept, indent=1)
        json_file.write_text(re.sub(r"\[\s+(\d+),\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2, \3]", indented) + "\n")
    if spilling:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
