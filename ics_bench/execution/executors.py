"""Ways to get tasks done: here, or in local processes. Each yields records as they complete."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ics_bench.core import CaseRecord, UsageError
from ics_bench.core.environment import usable_cores
from ics_bench.execution.isolation import keep_freed_memory
from ics_bench.execution.perform import failure, perform
from ics_bench.execution.plan import Task
from ics_bench.workloads import load_workload

DIED = "its process died, twice: out of memory, or a crash in native code"


@dataclass(frozen=True, slots=True)
class Executor:
    """A way to get tasks done.

    Parameters
    ----------
    name : str
        As the user gave it.
    workers : int
        Tasks in flight at once.
    perform_all : callable
        Yields the records of tasks as they complete. Closing it ends what is in flight.
    """

    name: str
    workers: int
    perform_all: Callable[[Iterable[Task]], Generator[CaseRecord, None, None]]

    def __call__(self, tasks: Iterable[Task]) -> Generator[CaseRecord, None, None]:
        """Yield the records of ``tasks`` as they complete."""
        return self.perform_all(tasks)


def parse_executor(text: str) -> Executor:
    """Turn ``inline``, ``local`` or ``local:N`` into an executor.

    Raises
    ------
    UsageError
        For anything else.
    """
    name, colon, count = text.partition(":")
    if text == "inline":
        return Executor(text, 1, inline)
    if name == "local" and (not colon or (count.isdecimal() and int(count) > 0)):
        workers = int(count) if colon else usable_cores()
        return Executor(text, workers, lambda tasks: local(tasks, workers))
    raise UsageError(f"unknown executor {text!r}; use inline, local or local:N with N processes")


def inline(tasks: Iterable[Task]) -> Generator[CaseRecord, None, None]:
    """Measure in this process, one task after another."""
    for task in tasks:
        yield perform(task)


def local(tasks: Iterable[Task], workers: int) -> Generator[CaseRecord, None, None]:
    """Measure in ``workers`` spawned processes; exclusive workloads follow, one task at a time.

    A process that dies takes down its pool: what was in flight is tried again, each task in a process
    of its own, and only the one that dies there twice is recorded as failed.
    """
    tasks = list(tasks)
    shared = [task for task in tasks if not load_workload(task.workload).exclusive]
    shared.sort(key=lambda task: -load_workload(task.workload).cost(task.case))  # longest first: an even finish
    exclusive = [task for task in tasks if load_workload(task.workload).exclusive]
    for group, size in ((shared, workers), (exclusive, 1)):
        waiting = group
        while waiting:
            lost, done = [], set()
            with closing(_pool(waiting, min(size, len(waiting)))) as results:
                for task, record in results:
                    done.add(task)
                    if record is None:
                        lost.append(task)
                    else:
                        yield record
            waiting = [task for task in waiting if task not in done]
            for task in lost:
                yield _alone(task)


def _alone(task: Task) -> CaseRecord:
    """Measure in a process of its own, twice if need be: the death that lost the task may have been another's."""
    for _ in range(2):
        with closing(_pool([task], 1)) as results:
            _, record = next(results)
        if record is not None:
            return record
    return failure(task, DIED)


def _pool(tasks: list[Task], workers: int) -> Generator[tuple[Task, CaseRecord | None], None, None]:
    """Yield each task with its record, or with ``None`` where its process died.

    After a death the pool is spent: tasks that had not begun are not yielded.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)
    waiting, flying = list(reversed(tasks)), dict[Future[CaseRecord], Task]()
    broken = False
    try:
        while flying or (waiting and not broken):
            while waiting and len(flying) < workers and not broken:
                task = waiting.pop()
                try:
                    with _interrupts_held():
                        flying[pool.submit(perform, task)] = task
                except BrokenProcessPool:
                    broken = True
                    yield task, None
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                task = flying.pop(future)
                try:
                    record = future.result()
                except BrokenProcessPool:
                    broken = True
                    yield task, None
                except Exception as error:  # the task or its record could not travel between processes
                    yield task, failure(task, f"{type(error).__name__}: {error}")
                else:
                    yield task, record
    finally:
        if flying:  # left early: by Ctrl-C, by a full disk
            _end_workers(pool)
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold signals back while a worker starts: it inherits the mask, and Ctrl-C is for the parent alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_workers(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, end when the parent is gone, and keep numpy to one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    keep_freed_memory()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported, which is later
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            multiprocessing.connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
