"""How much faster the replica trainer finds learning-rate ceilings than a plain loop does, in one run.

``python benchmarks/ceiling_speed.py [--json FILE]`` trains the arms depth 5, 10, 20 × none, batch, layer on the
13-rate grid with 5 seeds, in five ways that differ by one step each, and checks that the ceilings agree:

- *plain*: an `nn.Module` and a `torch.optim.SGD` at a time, stopped when diverged, with torch's default threads;
- *processes*: the same, arms shared out to one single-threaded process a core, longest first;
- *batching*: the same replica steps, stacked by `ics_bench.training`;
- *dropping*: replicas leave once they have reached the target, and count as stable;
- *search*: from the top of the grid down, no replica that cannot change a ceiling.

Every way runs in processes that have torch and the data loaded, and glibc told to keep freed memory, so each factor
is a ratio of wall times of one run and of the named difference alone. Exits 1 where the ceilings of two ways differ by
more than one step of the grid.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from ics_bench.core.environment import usable_cores
from ics_bench.execution.isolation import keep_freed_memory

SEEDS = 5
ARMS = [(depth, norm) for depth in (20, 10, 5) for norm in ("batch", "layer", "none")]
WAYS = ("plain", "processes", "batching", "dropping", "search")
QUESTIONS = ("stable", "trainable")

Arm = tuple[int, str]
Result = dict[str, Any]


def arm_problem(arm: Arm) -> Any:
    """Build the lr_ceiling workload's own training problem for an arm."""
    from ics_bench.core import Case
    from ics_bench.workloads.lr_ceiling import WORKLOAD

    base = WORKLOAD.cases("quick")[0]
    return WORKLOAD.problem(Case.of({**base, "depth": arm[0], "norm": arm[1]}), "cpu")


def train_plainly(problem: Any, replicas: Sequence[Any], recipe: Any) -> list[Any]:
    """Train one replica after another, as a script would; stop a diverged one."""
    import torch
    from torch.nn.functional import cross_entropy

    from ics_bench.training import Trajectory
    from ics_bench.training.train import data_order

    trajectories = []
    for replica in replicas:
        model = problem.build(replica.seed)
        order = data_order(problem, recipe, replica.seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=replica.learning_rate)
        trajectory = Trajectory(replica)
        initial, passed = math.inf, False
        for step, index in enumerate(order):
            optimizer.zero_grad()
            loss = cross_entropy(model(problem.x[index]), problem.y[index])
            loss.backward()
            optimizer.step()
            value = loss.item()
            initial = value if step == 0 else initial
            trajectory.steps = step + 1
            if not value <= recipe.divergence_factor * initial:
                trajectory.diverged_at = step
                break
            if recipe.checks(step + 1) and not trajectory.reached:
                model.eval()
                with torch.no_grad():
                    accuracy = (model(problem.x).argmax(dim=1) == problem.y).double().mean().item()
                model.train()
                succeeded = accuracy >= recipe.target
                if succeeded and passed:
                    trajectory.reached_at = step + 1 - recipe.check_every
                passed = succeeded
        trajectories.append(trajectory)
    return trajectories


def run_arm(way: str, arm: Arm, seeds: int, rates: Sequence[float] | None = None) -> Result:
    """Find an arm's ceilings in one of the ways; return them with the optimizer steps taken."""
    import torch

    from ics_bench.training import Recipe, Replica, Trainer, train
    from ics_bench.training.ceilings import GRID, CeilingSearch, majority, outcome

    torch.set_flush_denormal(True)
    torch.set_num_threads(usable_cores() if way == "plain" else 1)
    rates = rates or GRID
    problem, recipe = arm_problem(arm), Recipe()
    replicas = [Replica(rate, seed) for rate in rates for seed in range(seeds)]
    if way == "search":
        search = CeilingSearch(Trainer(problem, recipe).train, range(seeds), recipe.steps, rates)
        found = search.run(bisections=0)
        return {"steps": search.steps_taken, **{question: found[question].value for question in QUESTIONS}}
    if way in ("plain", "processes"):
        trajectories = train_plainly(problem, replicas, recipe)
    elif way == "batching":
        trajectories = train(problem, replicas, recipe, lambda all_of_them: [True] * len(all_of_them))
    else:
        trajectories = train(problem, replicas, recipe)
    result: Result = {"steps": sum(t.steps for t in trajectories)}
    for question in QUESTIONS:
        succeeded = [
            rate
            for rate in rates
            if majority(
                [
                    outcome(t, question, recipe.steps) is True or (way == "dropping" and t.reached)
                    for t in trajectories
                    if t.replica.learning_rate == rate
                ]
            )
        ]
        result[question] = max(succeeded, default=0.0)
    return result


def warm_up(_: int) -> None:
    """Pay for imports, the data set and first calls before the clock runs."""
    run_arm("processes", (3, "batch"), 1, rates=(0.1,))
    run_arm("search", (3, "batch"), 1, rates=(0.1,))


def timed(way: str, arms: Sequence[Arm], seeds: int, pool: ProcessPoolExecutor) -> tuple[float, list[Result]]:
    """Wall time of one way over all arms, and its results."""
    start = time.perf_counter()
    if way == "plain":
        results = [run_arm(way, arm, seeds) for arm in arms]
    else:
        results = list(pool.map(run_arm, [way] * len(arms), arms, [seeds] * len(arms)))
    return time.perf_counter() - start, results


def step_flops(depth: int, batch: int = 128, features: int = 64, width: int = 64, classes: int = 10) -> float:
    """Matrix-multiply FLOPs of one training step of a plain perceptron: forward, and twice that backward."""
    weights = features * width + (depth - 2) * width * width + width * classes
    return 6.0 * batch * weights - 2.0 * batch * features * width  # the input needs no gradient


def gemm_rate(pool: ProcessPoolExecutor, workers: int) -> float:
    """FLOP/s of a 1024-cube float32 matrix multiply in every process at once."""
    return sum(pool.map(_gemm_rate, range(workers)))


def _gemm_rate(_: int) -> float:
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    end, count = time.perf_counter() + 1.0, 0
    while time.perf_counter() < end:
        torch.mm(a, b)
        count += 1
    return count * 2.0 * 1024**3 / 1.0


def grid_steps_apart(one: float, other: float) -> float:
    """Half decades between two ceilings; a missing one against a present one is infinitely far."""
    if one == other:
        return 0.0
    return abs(math.log10(one / other)) / 0.5 if one and other else math.inf


def rows(times: dict[str, float], results: dict[str, list[Result]]) -> Iterator[str]:
    """Lay the measurement out as text."""
    yield f"{'way':12}{'seconds':>10}{'factor':>9}{'total':>9}{'replica steps':>16}"
    previous = times["plain"]
    for way in WAYS:
        steps = sum(result["steps"] for result in results[way])
        yield f"{way:12}{times[way]:10.1f}{previous / times[way]:9.2f}{times['plain'] / times[way]:9.2f}{steps:16,d}"
        previous = times[way]


@click.command()
@click.option("--seeds", default=SEEDS, show_default=True)
@click.option("--depth", "depths", multiple=True, type=int, help="Only these depths.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures to a file.")
def main(seeds: int, depths: tuple[int, ...], json_file: Path | None) -> None:
    """Measure all ways in one run, print the factors and compare the ceilings."""
    from ics_bench.core.environment import fingerprint

    arms = [arm for arm in ARMS if not depths or arm[0] in depths]
    workers = usable_cores()
    times: dict[str, float] = {}
    results: dict[str, list[Result]] = {}
    environment = fingerprint()
    keep_freed_memory()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=keep_freed_memory) as pool:
        rate = gemm_rate(pool, workers)
        list(pool.map(warm_up, range(4 * workers)))
        warm_up(0)
        for way in WAYS:
            times[way], results[way] = timed(way, arms, seeds, pool)
            click.echo(f"{way}: {times[way]:.1f} s", err=True)
    for line in rows(times, results):
        click.echo(line)
    flops = sum(step_flops(depth) * result["steps"] for (depth, _), result in zip(arms, results["search"], strict=True))
    share = flops / times["search"] / rate
    click.echo(f"GEMM rate {rate / 1e9:.0f} GFLOP/s; the search's training steps alone reach {share:.0%} of it")
    worst = 0.0
    for place, (depth, norm) in enumerate(arms):
        for question in QUESTIONS:
            ceilings = {way: results[way][place][question] for way in WAYS}
            worst = max(worst, *(grid_steps_apart(ceilings["plain"], ceilings[way]) for way in WAYS))
            click.echo(
                f"depth {depth:2d} {norm:5} {question:9}: " + ", ".join(f"{ceilings[way]:.3g} {way}" for way in WAYS)
            )
    click.echo(f"ceilings differ by at most {worst:g} grid steps")
    if json_file:
        figures = {
            "seconds": times,
            "gemm_flops": rate,
            "gemm_share": share,
            "grid_steps_apart": worst,
            "arms": [list(arm) for arm in arms],
            "results": results,
            "seeds": seeds,
            "environment": environment,
        }
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
    if worst > 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
