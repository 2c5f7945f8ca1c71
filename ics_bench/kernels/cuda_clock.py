"""A GPU's clock: kernels replayed in CUDA graphs over rotated buffers, interleaved, and checked by cold launches."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch

from ics_bench.kernels.clock import BUDGET_SECONDS, MAX_ROUNDS, MIN_ROUNDS, WARM_UP_SECONDS, Call
from ics_bench.kernels.gpu_state import GpuState, look

REPLAY_SECONDS = 1e-3
"""A replay takes this long at least, so that the events' resolution of half a microsecond does not show."""

COLD_ROUNDS = 11
"""Launches of their own, each after everything in the cache was displaced."""

DISAGREEMENT = 0.03
"""Largest difference between the two ways of timing that goes without a warning."""

FLUSH_FACTOR = 4
"""Times the level-2 cache that is read before a cold launch, which also gives the processor time to queue it."""

STATE_SECONDS = 0.3
"""How long the GPU is kept busy while its state is read."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Closures over buffers of their own, and whether they may be captured in a graph."""

    calls: Sequence[Call]
    capturable: bool = True


@dataclass(frozen=True, slots=True)
class GpuSamples:
    """Seconds of one call.

    Parameters
    ----------
    seconds : mapping of str to tuple of float
        By arm, one value a round.
    cold : mapping of str to tuple of float
        By arm, of single launches after everything in the cache was displaced.
    launched : frozenset of str
        Arms that no graph holds: each of their calls was timed with its launch.
    state : GpuState
        Of the GPU at work on more such rounds, when those that were timed were over.
    """

    seconds: Mapping[str, tuple[float, ...]]
    cold: Mapping[str, tuple[float, ...]]
    launched: frozenset[str]
    state: GpuState

    def warnings(self, arm: str) -> tuple[str, ...]:
        """Say what makes an arm's time doubtful."""
        return (*self.state.warnings(), *self.doubts(arm))

    def doubts(self, arm: str) -> tuple[str, ...]:
        """Say what makes an arm's time doubtful besides the GPU's state, which is everyone's."""
        launched = ("no CUDA graph holds this kernel: each call was timed with its launch",)
        return (*(launched if arm in self.launched else ()), *disagreement(self.seconds[arm], self.cold[arm]))


def disagreement(replayed: Sequence[float], cold: Sequence[float]) -> tuple[str, ...]:
    """Compare the medians of the two ways of timing a kernel."""
    first, second = statistics.median(replayed), statistics.median(cold)
    if abs(second - first) <= DISAGREEMENT * first:
        return ()
    return (
        f"replayed in a graph it takes {first * 1e6:.3g} µs, launched alone on a cold cache {second * 1e6:.3g} µs: "
        "short kernels pay for their launch, and others may have found their data in the cache",
    )


def loops_for(seconds: float, calls: int) -> int:
    """How often a graph goes round its buffer sets so that a replay lasts `REPLAY_SECONDS`.

    Parameters
    ----------
    seconds : float
        Of one call.
    calls : int
        Buffer sets.
    """
    return max(1, math.ceil(REPLAY_SECONDS / (seconds * calls)))


@cache
def _stream(index: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(index)  # type: ignore[no-untyped-call]


@contextmanager
def on_clock_stream(device: torch.device) -> Iterator[None]:
    """Work on the stream that graphs are captured from: autograd's backward pass stays on that of its forward."""
    index = torch.cuda.current_device() if device.index is None else device.index
    stream = _stream(index)
    stream.wait_stream(torch.cuda.current_stream(index))
    with torch.cuda.device(index), torch.cuda.stream(stream):
        yield
    stream.synchronize()


def time_on_gpu(arms: Mapping[str, Arm], order: random.Random, device: torch.device) -> GpuSamples:
    """Time every arm once a round, in a new random order each round. Call it on the clock's stream.

    Parameters
    ----------
    arms : mapping of str to Arm
        Prepared on the clock's stream (`on_clock_stream`). Their buffers should hold several times the
        level-2 cache; see `ics_bench.kernels.rotation`.
    order : random.Random
        Source of the shuffles.
    device : torch.device
    """
    properties = torch.cuda.get_device_properties(device)
    flush = torch.zeros(FLUSH_FACTOR * properties.L2_cache_size // 4, device=device)
    replays: dict[str, _Replay] = {}
    cold: dict[str, tuple[float, ...]] = {}
    for name, arm in arms.items():
        _keep_busy(lambda calls=arm.calls: _run_all(calls, 1), WARM_UP_SECONDS)  # type: ignore[misc]
        cold[name] = _cold(arm.calls, flush)
        replays[name] = _capture(arm, statistics.median(cold[name]))
    for replay in replays.values():
        _keep_busy(replay.run, WARM_UP_SECONDS)
    pending: dict[str, list[_Interval]] = {name: [] for name in arms}
    names, start = list(arms), time.perf_counter()
    for number in range(MAX_ROUNDS):
        if number >= MIN_ROUNDS and time.perf_counter() - start > BUDGET_SECONDS:
            break
        order.shuffle(names)
        for name in names:
            pending[name].append(_timed(replays[name].run))
        torch.cuda.synchronize(device)
    seconds = {
        name: tuple(interval.seconds() / replays[name].calls for interval in intervals)
        for name, intervals in pending.items()
    }
    launched = frozenset(name for name, replay in replays.items() if not replay.captured)
    state = _state_at_work([replay.run for replay in replays.values()], str(properties.uuid))
    return GpuSamples(seconds, cold, launched, state)


@dataclass(frozen=True, slots=True)
class _Replay:
    """Runs ``calls`` calls of an arm."""

    run: Callable[[], None]
    calls: int
    captured: bool
    held: object = None


@dataclass(frozen=True, slots=True)
class _Interval:
    start: torch.cuda.Event
    end: torch.cuda.Event

    def seconds(self) -> float:
        return float(self.start.elapsed_time(self.end)) * 1e-3


def _timed(run: Callable[[], object]) -> _Interval:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    interval = _Interval(start, end)
    interval.start.record()
    run()
    interval.end.record()
    return interval


def _cold(calls: Sequence[Call], flush: torch.Tensor) -> tuple[float, ...]:
    """Time single launches of a GPU that is warm, each on its own buffers and a cache that holds others.

    The cache is filled by reading: lines written would have to be written back while the kernel runs.
    """
    intervals = []
    for number in range(COLD_ROUNDS):
        flush.sum()
        intervals.append(_timed(calls[number % len(calls)]))
        torch.cuda.synchronize()
    return tuple(interval.seconds() for interval in intervals)


def _capture(arm: Arm, seconds: float) -> _Replay:
    """Put a few rounds of an arm's calls in a graph; what each call returned lives until its turn comes again."""
    loops = loops_for(seconds, len(arm.calls))
    if not arm.capturable:
        return _Replay(lambda: _run_all(arm.calls, loops), loops * len(arm.calls), captured=False)
    graph, kept = torch.cuda.CUDAGraph(), dict[int, object]()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            for _ in range(loops):
                for turn, call in enumerate(arm.calls):
                    kept[turn] = call()
    except RuntimeError:
        return _Replay(lambda: _run_all(arm.calls, loops), loops * len(arm.calls), captured=False)
    return _Replay(graph.replay, loops * len(arm.calls), captured=True, held=kept)


def _run_all(calls: Sequence[Call], loops: int) -> None:
    for _ in range(loops):
        for call in calls:
            call()


def _keep_busy(run: Callable[[], None], seconds: float) -> None:
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        run()
        torch.cuda.synchronize()


def _state_at_work(runs: Sequence[Callable[[], None]], uuid: str) -> GpuState:
    """Look at the GPU while it works through a queue of rounds, of every arm as in those that were timed."""

    def one_round() -> None:
        for run in runs:
            run()

    interval = _timed(one_round)
    torch.cuda.synchronize()
    for _ in range(max(1, math.ceil(STATE_SECONDS / max(interval.seconds(), 1e-6)))):
        one_round()
    state = look(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
    torch.cuda.synchronize()
    return state
