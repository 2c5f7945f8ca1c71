"""A progress bar on stderr, where stderr is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ics_bench.core import CaseRecord
from ics_bench.core.text import duration
from ics_bench.execution.estimate import Estimate
from ics_bench.execution.plan import Task


@contextmanager
def progress(tasks: list[Task], workers: int) -> Iterator[Callable[[CaseRecord], None]]:
    """Show how much of ``tasks`` is done and how long the rest takes; yield what to call with each record."""
    if not tasks or not sys.stderr.isatty():
        yield lambda record: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Task as Bar
    from rich.text import Text

    estimate, changed = Estimate(tasks, workers), time.monotonic()

    class Remaining(ProgressColumn):
        def render(self, task: Bar) -> Text:
            seconds = estimate.seconds
            if seconds is None:
                return Text("")
            return Text(f"about {duration(max(0.0, seconds - (time.monotonic() - changed)))} left")

    console = Console(stderr=True)
    columns = (TextColumn("{task.completed:.0%}"), BarColumn(), TextColumn("{task.fields[cases]} cases"))
    with Progress(*columns, TimeElapsedColumn(), Remaining(), console=console, transient=True) as bar:
        done, number = 0, bar.add_task("", total=1.0, cases=f"0/{len(tasks)}")

        def listen(record: CaseRecord) -> None:
            nonlocal done, changed
            estimate.finish(record)
            done, changed = done + 1, time.monotonic()
            bar.update(number, completed=estimate.share, cases=f"{done}/{len(tasks)}")

        yield listen
