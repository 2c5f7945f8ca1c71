"""Every kernel of ours checked, then raced against its rivals over a table of shapes, in one go.

``python benchmarks/kernel_campaign.py --device cuda --json FILE`` needs a GPU; ``--device cpu`` races PyTorch's kernels
over a few shapes. First correctness: every norm, direction, dtype and layout, on awkward shapes and adversarial inputs.
Then the table: on each problem, every provider that can run it and is right, interleaved with a copy of as many bytes.
FILE is written anew after each problem. The slowest beside a rival come last, where they are seen. Exits 1 where a
kernel of ours is wrong.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ics_bench.core.environment import fingerprint, private_cache_bytes
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels.clock import overhead_seconds
from ics_bench.kernels.provider import Provider, load_provider
from ics_bench.kernels.scores import HEADINGS, Score, score, table
from ics_bench.kernels.shapes import small_table, variants, whole_table
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, ROW_NORMS, Problem, floor_bytes

if TYPE_CHECKING:
    from ics_bench.kernels.check import Verdict

OURS = {"cuda": "cuda", "cpu": "torch_eager"}
"""Whose kernels are checked throughout and compared with the rest."""

RIVALS = {
    "cuda": ("cuda", "torch_eager", "torch_compile", "liger", "quack", "apex", "cupy_arrays", "cupy_reduction"),
    "cpu": ("torch_eager", "torch_compile"),
}
AWKWARD_ROWS = ((1, 1), (70, 8), (9, 500), (7, 2040), (3, 2041), (5, 5120), (2, 16384), (2, 70000), (2, 131072))
AWKWARD_MAPS = ((3, 16, 5, 7), (2, 8, 17, 24), (5, 24, 1, 1), (2, 64, 3, 3), (1, 4, 64, 32), (2, 6, 2, 4, 8))
CHECKED_ELEMENTS = 2**20
"""Elements up to which a problem of the table is checked whole; the float64 reference takes a second a million."""

MEMORY_BYTES = {"cuda": 2**36, "cpu": 2**29}
SEED = 20250


def checked_problems() -> Iterator[Problem]:
    """List what our kernels are checked on."""
    for dtype in DTYPE_BYTES:
        for norm in KERNEL_NORMS:
            shapes: Sequence[tuple[int, ...]] = AWKWARD_ROWS if norm in ROW_NORMS else AWKWARD_MAPS
            for shape in (*shapes, *([(33, 17), (130, 64)] if norm == "batch" else [])):
                for layout in ("contiguous", "channels_last") if len(shape) > 3 else ("contiguous",):
                    for direction in ("forward", "backward"):
                        problem = Problem(norm, direction, shape, dtype, groups=2, layout=layout)  # type: ignore[arg-type]
                        if norm != "batch" or shape[0] > 1:
                            yield problem
                        if norm == "batch":
                            yield replace(problem, training=False)
                        yield from variants(problem)


def name_of(problem: Problem) -> str:
    """Write a problem in a line."""
    shape = "x".join(map(str, problem.shape))
    parts = [problem.norm, problem.direction, problem.dtype, shape]
    parts += ["channels_last"] if problem.layout != "contiguous" else []
    return " ".join([*parts, *(["eval"] if not problem.training else []), *problem.options])


def check_ours(device: str, only: re.Pattern[str]) -> list[dict[str, Any]]:
    """Check our kernels throughout; return what is wrong or could not be run."""
    from ics_bench.kernels.check import check

    provider, failures, count = load_provider(OURS[device]), [], 0
    for problem in checked_problems():
        if not only.search(name_of(problem)):
            continue
        count += 1
        try:
            verdict = check(provider, problem, SEED, device)
        except Exception as error:  # one kernel that cannot be launched must not hide the others
            failures.append({"problem": name_of(problem), "error": repr(error)})
            continue
        if not verdict.correct:
            failures.append({"problem": name_of(problem), "worst": verdict.worst, "over": verdict.error_over_bound})
    click.echo(f"{OURS[device]}: {count} problems checked, {len(failures)} wrong")
    for failure in failures:
        click.echo(f"  {failure}")
    return failures


class Race:
    """Checks and times every provider that can run a problem.

    Adversarial inputs are for the first problem of a kind; later ones are checked on themselves.
    """

    def __init__(self, providers: Mapping[str, Provider], device: str, on_chip: int, vendor: float | None) -> None:
        self.providers, self.device, self.on_chip, self.vendor = providers, device, on_chip, vendor
        self.seen: set[tuple[object, ...]] = set()

    def run(self, problem: Problem) -> tuple[list[Score], dict[str, str]]:
        """Return scores, and why providers have none."""
        from ics_bench.kernels.throughput import compare

        reasons, verdicts, right = {}, {}, {}
        for name, provider in self.providers.items():
            reason = provider.why_not(problem, self.device)
            if reason is None:
                try:
                    verdicts[name] = self._check(name, provider, problem)
                except Exception as error:  # a rival that does not run is left out, and said to be
                    reason = repr(error)
            if reason is not None:
                reasons[name] = reason
            elif verdicts[name].correct:
                right[name] = provider
        try:
            timed = compare(right, problem, SEED, self.device, MEMORY_BYTES[self.device]) if right else {}
        except Exception as error:  # the rest of the table is still wanted
            return [], {**reasons, "the race": repr(error)}
        return score(problem, timed, verdicts, self.on_chip, self.vendor), reasons

    def _check(self, name: str, provider: Provider, problem: Problem) -> Verdict:
        from ics_bench.kernels.check import check

        kind = (name, problem.norm, problem.direction, problem.dtype, problem.layout, problem.training)
        kind += problem.options
        verdict = check(provider, problem, SEED, self.device, CHECKED_ELEMENTS, adversarial=kind not in self.seen)
        if verdict.correct:
            self.seen.add(kind)
        return verdict


def fits(problem: Problem, free: int) -> bool:
    """Whether a problem leaves room for its rotated buffers."""
    return 6 * floor_bytes(problem) < free


def machine_of(device: str) -> tuple[int, int, float | None]:
    """Tell free bytes, bytes held next to the arithmetic, and the datasheet's bandwidth."""
    if device == "cpu":
        import psutil

        return psutil.virtual_memory().available, private_cache_bytes(), None
    import torch

    from ics_bench.kernels.gpus import VENDOR_BANDWIDTH, cooperating_bytes, device_of

    on_chip = cooperating_bytes(device_of(torch.cuda.get_device_properties()))
    return torch.cuda.mem_get_info()[0], on_chip, VENDOR_BANDWIDTH.get(torch.cuda.get_device_name())


def show(rows: Sequence[tuple[Problem, list[Score]]], ours: str) -> None:
    """Print a line for each provider and problem; the problems where ours loses most come last."""

    def ratio(row: tuple[Problem, list[Score]]) -> float:
        return next((one.rival_ratio or 1.0 for one in row[1] if one.provider == ours), 0.0)

    click.echo(" ".join(f"{heading:>14}" for heading in HEADINGS) + "  problem")
    for problem, scores in sorted(rows, key=ratio, reverse=True):
        for row in table(scores):
            click.echo(" ".join(f"{cell:>14}" for cell in row) + f"  {name_of(problem)}")


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--table", "which", type=click.Choice(["small", "whole"]), help="[default: whole on a GPU, else small]")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(list(DTYPE_BYTES)), help="Repeat for several.")
@click.option("--provider", "names", multiple=True, help="Repeat for several [default: all that are installed].")
@click.option("--only", default="", metavar="REGEX", help="Problems, as in 'layer backward bfloat16 4096x1024'.")
@click.option("--minutes", type=float, default=25.0, show_default=True, help="Start no problem after this time.")
@click.option("--check/--no-check", "checking", default=True, show_default=True, help="Check ours throughout first.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything here.")
def main(
    device: str,
    which: str | None,
    dtypes: tuple[str, ...],
    names: tuple[str, ...],
    only: str,
    minutes: float,
    checking: bool,
    json_file: Path | None,
) -> None:
    """Check, race, print, keep."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("torch sees no CUDA device; --device cpu races PyTorch's kernels")
    start, pattern = time.monotonic(), re.compile(only)
    providers = {PROVIDERS.canonical(name): load_provider(name) for name in names or RIVALS[device]}
    kept: dict[str, Any] = {"environment": fingerprint(), "seed": SEED, "device": device}
    kept["failures"] = check_ours(device, pattern) if checking else "not checked"
    free, on_chip, vendor = machine_of(device)
    chosen = (whole_table if (which or ("whole" if device == "cuda" else "small")) == "whole" else small_table)(
        dtypes or ("bfloat16", "float32")
    )
    problems = [problem for problem in chosen if pattern.search(name_of(problem))]
    race = Race(providers, device, on_chip, vendor)
    rows: list[tuple[Problem, list[Score]]] = []
    kept["table"], kept["left_out"] = [], []
    for place, problem in enumerate(problems):
        late = time.monotonic() - start > 60 * minutes
        if late or not fits(problem, free):
            kept["left_out"].append({"problem": name_of(problem), "why": "out of time" if late else "out of memory"})
            continue
        click.echo(f"{place + 1}/{len(problems)} {name_of(problem)}", err=True)
        scores, reasons = race.run(problem)
        rows.append((problem, scores))
        kept["table"].append(
            {"problem": asdict(problem), "scores": [one.as_json() for one in scores], "cannot": reasons}
        )
        if json_file:
            json_file.write_text(json.dumps(kept, indent=1) + "\n")
    show(rows, OURS[device])
    click.echo(f"{len(rows)} problems, {len(kept['left_out'])} left out")
    times = [one.time for _, scores in rows for one in scores if one.time is not None]
    if device == "cpu" and times:
        own = overhead_seconds()
        click.echo(f"reading the clock takes {own * 1e9:.0f} ns, {own / min(times):.2%} of the shortest kernel's time")
    if json_file:
        json_file.write_text(json.dumps(kept, indent=1) + "\n")
    if kept["failures"] and checking:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
