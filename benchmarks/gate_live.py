"""Runs the gate again and again on a light suite: equal commits, slower ones, and ones that compute something else.

``python benchmarks/gate_live.py runs FILE [--minutes M]`` makes a repository with a suite of eight timings and two
convergence metrics, and gates pairs of its commits until the time or the list is over: equal commits 60 times, an extra
loop of 15 %, a sleep and an extra allocation, which cost some 30 %, ten times each, and a dozen numeric mutants once
each, for the gate is deterministic about them. Kinds alternate, so that all of them see the same weather. Each run is
on disk before the next begins; called again, the script goes on where it stopped. ``python benchmarks/gate_live.py
summary FILE`` counts.

``python benchmarks/gate_live.py examples FILE`` gates one commit of each kind, a faster and a hanging one among them,
and writes the Markdown that the gate writes of each. ``python benchmarks/gate_live.py wide`` gates 32 timings once.
``python benchmarks/gate_live.py noise FILE [--minutes M]`` records the noise of the same suite for
``benchmarks/gate_calibration.py``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import click

from ics_bench.cli.text import table
from ics_bench.core.environment import fingerprint
from ics_bench.core.text import duration
from ics_bench.results.files import check_target, replace_file, write_file
from ics_bench.stats import share_interval

ROOT = Path(__file__).resolve().parents[1]

CONFIGURATION = {
    "version": 1,
    "project": "light",
    "repo": ".",
    "environment_type": "existing",
    "build_command": [],
    "install_command": ["python install.py"],
}

INSTALL = "import shutil, sysconfig\nshutil.copy('light.py', sysconfig.get_path('purelib'))\n"

LIGHT = '''\
import json
import time

import numpy as np


def loop(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


def lookups(n):
    squares = {i: i * i for i in range(n)}
    return sum(squares[i] for i in range(0, n, 2))


def text(n):
    return json.dumps([{"name": str(i), "value": i / 7} for i in range(n)])


def objects(n):
    return [(i, [i], str(i)) for i in range(n)]


def descend(seed, rate=0.5, steps=60):
    """Logistic regression by gradient descent: loss after each step, and accuracy."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(200, 5))
    y = (x @ draw.normal(size=5) + draw.normal(size=200) > 0).astype(float)
    w = np.zeros(5)
    losses = []
    for step in range(steps):
        p = 1 / (1 + np.exp(-(x @ w)))
        losses.append(float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))))
        w = w - rate * (x.T @ (p - y)) / len(y)
    return losses, float(np.mean((x @ w > 0) == y))
'''

SUITE = """\
import numpy as np

import light

VALUES = np.random.default_rng(0).normal(size=20_000)
MATRIX = VALUES[:10_000].reshape(100, 100)
NUMBERS = VALUES.tolist()
BLOCK = bytes(1 << 20)
SEEDS = range(16)


def time_loop():
    light.loop(10_000)


def time_lookups():
    light.lookups(5_000)


def time_text():
    light.text(500)


def time_objects():
    light.objects(3_000)


def time_sort():
    sorted(NUMBERS)


def time_copy():
    bytearray(BLOCK)


def time_product():
    MATRIX @ MATRIX


def time_exponential():
    np.exp(VALUES).sum()


def on_seeds(seeds):
    return {seed: light.descend(seed)[0] for seed in seeds}


def accuracy_on_seeds(seeds):
    return {seed: [light.descend(seed)[1]] for seed in seeds}


def track_loss():
    return sum(losses[-1] for losses in on_seeds(SEEDS).values()) / len(SEEDS)


def track_error():
    return 1 - sum(values[-1] for values in accuracy_on_seeds(SEEDS).values()) / len(SEEDS)


track_loss.kind = track_error.kind = "seeded"
track_loss.better, track_error.better = "lower", "higher"
track_loss.unit, track_error.native_unit = "nat", "share right"
track_loss.smallest_effect, track_error.smallest_effect = 0.01, 0.02
track_loss.on_seeds, track_error.on_seeds = on_seeds, accuracy_on_seeds
track_loss.by_seed = lambda: on_seeds(SEEDS)
track_error.by_seed = lambda: accuracy_on_seeds(SEEDS)
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit changes in the library.

    Parameters
    ----------
    kind : str
    old, new : str
        Text of the library.
    worse : str
        Benchmark that it makes worse; empty where none.
    times : int
        How often it is gated.
    """

    kind: str
    old: str = ""
    new: str = ""
    worse: str = ""
    times: int = 10


CHANGES = (
    Change("equal", times=60),
    Change("extra loop", "range(n):\n        total", "range(n + 3 * n // 20):\n        total", "time_loop"),
    Change("sleep", "    return json.dumps(", "    time.sleep(4e-5)\n    return json.dumps(", "time_text"),
    Change("allocation", "    return [(i,", "    spare = [[i] for i in range(n)]\n    return [(i,", "time_objects"),
)

MUTANTS = (
    Change("mutant: sign", "w = w - rate", "w = w + rate", "track_loss"),
    Change("mutant: rate over 10", "rate=0.5", "rate=0.05", "track_loss"),
    Change("mutant: rate times 100", "rate=0.5", "rate=50.0", "track_loss"),
    Change("mutant: half the steps", "steps=60", "steps=30", "track_loss"),
    Change("mutant: no division", ") / len(y)", ")", "track_loss"),
    Change("mutant: residual of the other class", "(p - y)", "(p - (1 - y))", "track_loss"),
    Change("mutant: labels from elsewhere", "draw.normal(size=5) + ", "draw.normal(size=5) * 0 + ", "track_loss"),
    Change("mutant: wrong activation", "1 / (1 + np.exp(-(x @ w)))", "0.5 + 0 * (x @ w)", "track_loss"),
    Change("mutant: NaN", "losses.append(float(", "losses.append(float('nan') if step else float(", "track_loss"),
    Change("mutant: stuck bias", "np.zeros(5)", "np.full(5, 3.0)", "track_loss"),
    Change("mutant: predictions turned around", "(x @ w > 0) == y", "(x @ w < 0) == y", "track_error"),
    Change("harmless: rounding", "1 / (1 + np.exp(-(x @ w)))", "np.exp(x @ w) / (1 + np.exp(x @ w))"),
)

OTHERS = (
    Change("faster", "range(n):\n        total", "range(n - n // 5):\n        total"),
    Change("hanging", "    return json.dumps(", "    time.sleep(3600)\n    return json.dumps(", "time_text"),
)

EXAMPLES = ("equal", "extra loop", "faster", "mutant: half the steps", "mutant: NaN", "hanging")

Run = dict[str, Any]


def wide_suite(copies: int) -> str:
    """Write the light suite with every timing this many times."""
    timings = re.findall(r"def (time_\w+)\(\):\n((?:    .*\n)+)", SUITE)
    more = [f"\n\ndef {name}_{copy}():\n{body}" for copy in range(1, copies) for name, body in timings]
    return SUITE + "".join(more)


@contextmanager
def repository(folder: Path | None, suite: str = SUITE) -> Iterator[Path]:
    """Make a repository whose first commit is the light suite, with a branch a change."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="gate-live-") as made, repository(Path(made), suite) as folder:
            yield folder
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        (folder / "benchmarks").mkdir()
        (folder / "benchmarks/__init__.py").touch()
        (folder / "benchmarks/suite.py").write_text(suite)
        (folder / "asv.conf.json").write_text(json.dumps(CONFIGURATION))
        (folder / "install.py").write_text(INSTALL)
        (folder / "light.py").write_text(LIGHT)
        _git(folder, "init", "-q", "-b", "main")
        _commit(folder, "light suite")
        for change in (*CHANGES, *MUTANTS, *OTHERS):
            if LIGHT.count(change.old) != 1 and change.old:
                raise ValueError(f"{change.kind}: {change.old!r} is not in the library once")
            _git(folder, "checkout", "-q", "-b", _branch(change), "main")
            (folder / "light.py").write_text(LIGHT.replace(change.old, change.new) if change.old else LIGHT)
            _commit(folder, change.kind)
        _git(folder, "checkout", "-q", "main")
    yield folder


def _branch(change: Change) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in change.kind)


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "--allow-empty", "-m", message)


def _git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=light", "-c", "user.email=light@localhost", "-c", "core.hooksPath=/dev/null")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True)


def _ics_bench(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line of this checkout, as a user would."""
    command = [sys.executable, "-m", "ics_bench.cli.main", *map(str, arguments)]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def listed() -> list[tuple[Change, int]]:
    """List every run, kinds alternating in proportion to how often each is run."""
    runs = [(change, number) for change in CHANGES for number in range(change.times)]
    runs.sort(key=lambda run: (run[1] + 0.5) / run[0].times)
    step = max(1, len(runs) // len(MUTANTS))
    for place, change in enumerate(MUTANTS):
        runs.insert(place * (step + 1), (change, 0))
    return runs


def of_this_code() -> dict[str, Any]:
    """Say what code and what machine a run is of."""
    found = fingerprint()
    return {"commit": found["source"] and found["source"]["commit"], "cpu": found["cpu"], "cores": found["cores"]}


def gate_once(folder: Path, change: Change, number: int) -> Run:
    """Gate one change against the light suite, and keep what came of it."""
    decided = folder / ".git" / "decided.json"
    decided.unlink(missing_ok=True)
    only = ["--only", "track_"] if change in MUTANTS else []
    began, load = time.monotonic(), os.getloadavg()[0]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    done = _ics_bench(folder, "gate", "main", _branch(change), "--seed", number, "--json", decided, *only)
    run: Run = {"kind": change.kind, "number": number, "started": started, "load_average": load, **of_this_code()}
    run |= {"seconds": round(time.monotonic() - began, 1), "exit_code": done.returncode}
    if not decided.exists():
        return run | {"error": done.stderr.strip()[-500:]}
    content = json.loads(decided.read_text())
    if not content["results"]:
        return run | {"error": "; ".join(content["failures"])}
    results = {result["name"].removeprefix("suite."): result for result in content["results"]}
    run["verdicts"] = {name: result["verdict"] for name, result in results.items()}
    run["reasons"] = {n: r["reason"] for n, r in results.items() if r["verdict"] != "no change"}
    run["changes"] = {n: r["readings"][0]["change"] for n, r in results.items() if r["readings"]}
    return run | {"measured": content["facts"].get("measured")}


def counted(runs: Sequence[Run]) -> str:
    """Lay out how often each change was found, and how often anything else was called a regression."""
    rows = []
    for change in (*CHANGES, *MUTANTS):
        found = [run for run in runs if run["kind"] == change.kind]
        if not found:
            continue
        verdicts = [run["verdicts"] for run in found if "verdicts" in run]
        caught = sum(v.get(change.worse) == "regression" for v in verdicts) if change.worse else None
        false: int | None = None  # a broken net has a worse accuracy too
        if change not in MUTANTS or not change.worse:
            false = sum(any(v == "regression" and n != change.worse for n, v in each.items()) for each in verdicts)
        decided = verdicts and false is not None
        bound = f"{share_interval(false or 0, len(verdicts), 0.9).high:.1%}" if decided else None  # one-sided, 95 %
        codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(run["exit_code"] for run in found).items()))
        seconds = round(median(run["seconds"] for run in found), 1)
        growths = [run["changes"][change.worse] for run in found if change.worse in run.get("changes", {})]
        growth = f"{median(growths):+.0%}" if growths and change not in MUTANTS else None
        rows.append((change.kind, len(found), len(verdicts), growth, caught, false, bound, codes, seconds))
    columns = ("kind", "runs", "decided", "growth", "found", "false alarms", "at most", "exit codes", "median s")
    return table(columns, rows)


@click.group()
def main() -> None:
    """Run the gate on a light suite."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--minutes", default=120.0, show_default=True, help="No run begins later than this.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the repository here.")
@click.option("--kind", "kinds", multiple=True, help="Only runs of this kind; repeat for several.")
def runs(file: Path, minutes: float, folder: Path | None, kinds: tuple[str, ...]) -> None:
    """Gate until the list or the time is over; go on where an earlier call stopped."""
    check_target(file)
    content = json.loads(file.read_text()) if file.exists() else {"schema": 1, "machine": fingerprint(), "runs": []}
    known = {(run["kind"], run["number"]) for run in content["runs"]}
    deadline = time.monotonic() + minutes * 60
    with repository(folder) as where:
        for change, number in listed():
            if (change.kind, number) in known or (kinds and change.kind not in kinds):
                continue
            if time.monotonic() > deadline:
                break
            content["runs"].append(gate_once(where, change, number))
            replace_file(file, json.dumps(content, indent=1).encode())
            last = content["runs"][-1]
            click.echo(f"{last['started']}  {change.kind} {number}: {last['exit_code']} in {duration(last['seconds'])}")
    click.echo(counted(content["runs"]))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def summary(file: Path) -> None:
    """Count what came of the runs so far."""
    click.echo(counted(json.loads(file.read_text())["runs"]))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(EXAMPLES), help="Only this; repeat for several.")
@click.option("--only", default="time_(loop|text|sort)|track_", show_default=True, help="Benchmarks.")
def examples(file: Path, kinds: tuple[str, ...], only: str) -> None:
    """Gate one commit of each kind, and write the exit codes with the Markdown."""
    check_target(file)
    changes = {change.kind: change for change in (*CHANGES, *MUTANTS, *OTHERS)}
    parts = []
    with repository(None) as where:
        for kind in kinds or EXAMPLES:
            written = where / ".git" / f"{_branch(changes[kind])}.md"
            branch = _branch(changes[kind])
            done = _ics_bench(where, "gate", "main", branch, "--seed", 0, "--only", only, "--markdown", written)
            if not written.exists():
                raise click.ClickException(f"{kind}: nothing was decided: {done.stderr.strip()[-500:]}")
            click.echo(f"{kind}: exit code {done.returncode}")
            parts.append(f"# {kind}: exit code {done.returncode}\n\n{written.read_text()}")
    code = of_this_code()
    head = f"Decided by commit {code['commit'] or 'unknown'} on {code['cores']} cores of {code['cpu']}, seed 0.\n\n"
    write_file(file, (head + "\n".join(parts)).encode())


@main.command()
@click.option("--copies", default=4, show_default=True, help="Of each of the eight timings.")
def wide(copies: int) -> None:
    """Gate equal commits on a wide suite, and say how long that takes."""
    with repository(None, wide_suite(copies)) as where:
        run = gate_once(where, CHANGES[0], 0)
    click.echo(json.dumps(run, indent=1))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--minutes", default=30.0, show_default=True, help="Rounds of the three loads, one at least.")
@click.option("--pairs", default=128, show_default=True, help="Of each recording.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the repository here.")
def noise(file: Path, minutes: float, pairs: int, folder: Path | None) -> None:
    """Record the noise of the light suite under three loads; what the file holds already is kept."""
    with repository(folder) as where:
        options = ("--budget", minutes, "--pairs", pairs, "--only", "time_")
        done = _ics_bench(where, "gate", "main", "--calibrate", file.resolve(), *options)
    click.echo(done.stdout, nl=False)
    click.echo(done.stderr, err=True, nl=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
