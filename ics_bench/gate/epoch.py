"""One process of a gate's measurement, run by the measured project's interpreter: discovers or runs its benchmarks.

It may import nothing but the standard library and asv_runner, which finds the benchmarks and runs them,
so that what is measured is what ``asv run`` measures. The request is JSON on standard input; the answer is
one JSON line an event on the file descriptor that the command line names. A line is written before each
benchmark begins, so that whoever listens knows which one crashed or hangs.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # the folder of this file must not hide modules of others that have the same names
    sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import contextlib
import functools
import gc
import importlib
import io
import json
import numbers
import os
import pickle
import statistics
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Dict  # noqa: UP035

ERROR_LENGTH = 500
"""Characters of an error that are reported: some carry whole tensors."""

DECLARED = ("better", "kind", "smallest_effect", "smallest_ratio", "infinity_is_best", "native_unit")
"""What a benchmark or its class can declare for the gate, beyond what asv reads."""

TURN, ENDED = b"t", b"e"
"""What the baton says: go on, or go on, I have ended this benchmark."""

Event = Dict[str, Any]  # noqa: UP006 for older Pythons


class Emit:
    """Writes events, a line each, at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, event: str, **fields: Any) -> None:
        """Write an event with its fields."""
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]


class Baton:
    """Lets two processes run in turns that measure the same benchmarks: only the one that has it runs.

    It goes over at the end of every sample and of every benchmark. Whoever has ended a benchmark waits for
    the other one's end. Where the other one is gone, nothing is waited for.

    Parameters
    ----------
    descriptors : (int, int), optional
        File descriptors to read from and to write to; none where there is no other process.
    first : bool
        Whether the first turn is ours.

    Attributes
    ----------
    waited : float
        Seconds spent waiting for a turn.
    """

    def __init__(self, descriptors: Sequence[int] | None = None, first: bool = True) -> None:
        self._descriptors = descriptors
        self.waited = 0.0
        if descriptors:
            os.register_at_fork(after_in_child=self._drop)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
        self._other_ended = not first and self._wait() == ENDED

    def running(self) -> float:
        """Read a clock that stands still while the other one runs."""
        return time.perf_counter() - self.waited

    def hand_over(self) -> None:
        """Let the other one run, unless it has ended this benchmark, and wait for our next turn."""
        if not self._other_ended:
            self._other_ended = self._give(TURN) == ENDED

    def end(self) -> None:
        """Tell that a benchmark is over, and wait until its successor is our turn."""
        last, self._other_ended = self._other_ended, False
        mark = self._give(ENDED)
        if last:  # then the other one has gone on, and this is of the next benchmark
            self._other_ended = mark == ENDED

    def _give(self, mark: bytes) -> bytes:
        if self._descriptors is None:
            return b""
        try:
            os.write(self._descriptors[1], mark)
        except BrokenPipeError:
            self._descriptors = None
            return b""
        return self._wait()

    def _wait(self) -> bytes:
        began = time.perf_counter()
        mark = os.read(self._descriptors[0], 1) if self._descriptors else b""
        self.waited += time.perf_counter() - began
        if not mark:
            self._descriptors = None
        return mark

    def _drop(self) -> None:
        """Close it in a child, which would keep the other one waiting for our end."""
        for descriptor in self._descriptors or ():
            os.close(descriptor)
        self._descriptors = None


class BothClocks:
    """A timer for `timeit` that reads the processor time too, outside of what the wall clock sees.

    Parameters
    ----------
    wall : callable
    baton : Baton
        Handed over after every interval.
    """

    def __init__(self, wall: Callable[[], float], baton: Baton) -> None:
        self._wall, self._baton = wall, baton
        self._began: tuple[float, float] | None = None
        self.intervals: list[tuple[float, float]] = []

    def __call__(self) -> float:
        """Begin or end an interval."""
        if self._began is None:
            cpu = time.process_time()
            wall = self._wall()
            self._began = wall, cpu
        else:
            wall = self._wall()
            self.intervals.append((wall - self._began[0], time.process_time() - self._began[1]))
            self._began = None
            self._baton.hand_over()
        return wall

    def cpu_per_call(self, samples: Sequence[float], number: int) -> float:
        """Median processor time per call over the intervals that gave these samples, the last ones taken."""
        walls = [wall for wall, _ in self.intervals[-len(samples) :]]
        batched = abs(sum(walls) - sum(samples) * number) <= 1e-6 * sum(walls)
        each = 1 if batched else number  # set up between calls, each timed by itself
        kept = [cpu for _, cpu in self.intervals[-len(samples) * each :]]
        return statistics.median(sum(kept[i : i + each]) / number for i in range(0, len(kept), each))


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    emit = Emit(int(sys.argv[1]))
    baton = Baton(**request.get("baton", {}))
    try:
        runner = _asv_runner(request)
    except ModuleNotFoundError as error:
        if error.name != "asv_runner":
            raise
        emit("lacking", what=error.name)
    else:
        modes: Dict[str, Callable[..., None]] = {  # noqa: UP006
            "discover": discover,
            "cache": fill_cache,
            "run": functools.partial(run, baton),
        }
        modes[request["mode"]](request, runner, emit)
    emit("done")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # tearing down large libraries takes longer than measuring


def _asv_runner(request: Mapping[str, Any]) -> Any:
    """Import asv_runner with the project's benchmarks importable.

    What it would look for is known from listing the benchmarks, and most of the time an epoch takes to
    start would go into it: pympler, which imports numpy, and plug-ins among all installed distributions.
    Both are back before anything of the project's is imported.
    """
    absent: dict[str, Any] = {}
    if request["mode"] == "run" and not request["memory_of_objects"]:
        absent["pympler"] = None
    if request["mode"] == "run" and not request["plugins"] and "importlib.metadata" not in sys.modules:
        absent["importlib.metadata"] = types.ModuleType("importlib.metadata")
        absent["importlib.metadata"].distributions = lambda: ()
    sys.modules.update(absent)
    try:
        discovery = importlib.import_module("asv_runner.discovery")
    finally:
        for name in absent:
            del sys.modules[name]
    discovery.update_sys_path(request["root"])
    setattr(discovery, "update_sys_path", lambda root: None)  # noqa: B010 it would grow the list of importers with each benchmark
    return discovery


def discover(request: Mapping[str, Any], discovery: Any, emit: Emit) -> None:
    """Report every benchmark of a project and what it declares."""
    emit("plugins", found=bool(importlib.import_module("asv_runner.benchmarks").asv_modules))
    for benchmark in discovery.disc_benchmarks(request["root"]):
        sources = benchmark._attr_sources[:-1] or benchmark._attr_sources  # not the module, whose names are its own
        declared = {name: _first(sources, name) for name in DECLARED}
        limits = {"timeout": benchmark.timeout, "cache_timeout": benchmark.setup_cache_timeout}
        emit(
            "benchmark",
            name=benchmark.name,
            type=benchmark.type,
            unit=str(benchmark.unit),
            version=str(benchmark.version),
            params=benchmark.params,
            cache=benchmark.setup_cache_key,
            declared={name: _plain(value) for name, value in declared.items() if value is not None},
            **{name: _plain(value) for name, value in limits.items()},
            seeded=callable(getattr(benchmark.func, "by_seed", None)),
            reseeds=callable(getattr(benchmark.func, "on_seeds", None)),
        )


def _plain(value: Any) -> Any:
    """Return what JSON can hold as it is, numbers of any library too; of all else how it shows, for who refuses it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    return {"shown": repr(value)[:ERROR_LENGTH]}


def _first(sources: Sequence[Any], name: str, default: Any = None) -> Any:
    found = (getattr(source, name) for source in sources if hasattr(source, name))
    return next(found, default)


def fill_cache(request: Mapping[str, Any], discovery: Any, emit: Emit) -> None:
    """Run the ``setup_cache`` of one benchmark, and leave its result where asv does."""
    benchmark = discovery.get_benchmark_from_name(request["root"], request["id"])
    with open("cache.pickle", "wb") as file:
        pickle.dump(benchmark.do_setup_cache(), file)


def run(baton: Baton, request: Mapping[str, Any], discovery: Any, emit: Emit) -> None:
    """Measure benchmarks one after another; an error in one is reported, and the next one begins."""
    runner = Runner(request, emit, baton)
    gc.disable()
    found = {}
    for item in request["items"]:
        with runner.reporting(item["id"]):
            found[item["id"]] = discovery.get_benchmark_from_name(request["root"], item["id"])
    emit("ready")
    baton.hand_over()  # so that the other one is up before anything is timed
    for item in request["items"]:
        if item["id"] in found:
            emit("begin", id=item["id"])
            with runner.reporting(item["id"]):
                emit("end", id=item["id"], **runner.measure(found[item["id"]], item))
            gc.collect()
        baton.end()


class Runner:
    """Measures benchmarks in this process.

    Parameters
    ----------
    request : mapping
        ``caches``: folder by key of what ``setup_cache`` left; ``own_caches``: keys that are set up here
        instead; ``sampling``: how long timings take.
    emit : Emit
    baton : Baton
    """

    def __init__(self, request: Mapping[str, Any], emit: Emit, baton: Baton) -> None:
        self._emit, self._baton = emit, baton
        self._caches: Mapping[str, str] = request["caches"]
        self._own = set(request["own_caches"])
        self._sampling = request["sampling"]
        self._loaded: dict[str, Any] = {}
        self._home = os.getcwd()

    @contextlib.contextmanager
    def reporting(self, name: str) -> Iterator[None]:
        """Report an exception as the end of a benchmark."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            traceback.print_exc()
            text = " ".join(f"{type(error).__name__}: {error}".split())
            self._emit("end", id=name, error=text[:ERROR_LENGTH])

    def measure(self, benchmark: Any, item: Mapping[str, Any]) -> Event:
        """Set a benchmark up, measure it and tear it down.

        Returns
        -------
        dict
            ``value``, with ``cpu`` or ``seeds`` where there are any; or ``skipped`` with the reason.
        """
        if item["seeds"] is not None:
            return _judged(benchmark.func.on_seeds(item["seeds"], *benchmark._current_params))
        benchmark.set_cache(self._cache_of(benchmark))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            skip = benchmark.do_setup()
        try:
            if skip:
                return {"skipped": " ".join(said.getvalue().split()) or "its parameters are in skip_params"}
            return self._run(benchmark)
        finally:
            benchmark.do_teardown()
            os.chdir(self._home)

    def _cache_of(self, benchmark: Any) -> Any:
        key = benchmark.setup_cache_key
        if key is None:
            return None
        if key in self._caches and key not in self._own:
            os.chdir(self._caches[key])
        if key not in self._loaded:
            if key in self._own:
                self._loaded[key] = benchmark.do_setup_cache()
            else:
                with open("cache.pickle", "rb") as file:
                    self._loaded[key] = pickle.load(file)
        return self._loaded[key]

    def _run(self, benchmark: Any) -> Event:
        if benchmark.type == "time":
            return self._time(benchmark)
        by_seed = getattr(benchmark.func, "by_seed", None)
        if by_seed is not None:
            return _judged(by_seed(*benchmark._build_params()))
        if benchmark.type == "peakmemory":
            _read_high_water_mark()
        value = benchmark.do_run()
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise TypeError(f"returned {type(value).__name__} {value!r:.80}; the gate needs a number")
        return {"value": float(value)}

    def _time(self, benchmark: Any) -> Event:
        clocks = BothClocks(_first(benchmark._attr_sources, "timer", time.perf_counter), self._baton)
        attributes: Dict[str, Any] = {"repeat": self._sampling["repeat"]}  # noqa: UP006
        if hasattr(benchmark, "timer"):  # else each sample is a process
            attributes["timer"] = clocks
        for name in ("warmup_time", "sample_time"):
            declared = _first(benchmark._attr_sources, name, -1)
            attributes[name] = self._sampling[name] if declared < 0 else min(declared, self._sampling[name])
        benchmark._attr_sources.insert(0, type("Sampling", (), attributes))
        benchmark._load_vars()
        # asv_runner goes by this clock to warm up, to choose the calls of a sample, and to stop
        importlib.import_module("asv_runner.benchmarks.time").wall_timer = self._baton.running  # type: ignore[attr-defined]
        found = benchmark.do_run()
        samples, number = found["samples"], found["number"]
        outcome: Event = {"value": statistics.median(samples), "samples": samples}
        if clocks.intervals:
            outcome["cpu"] = clocks.cpu_per_call(samples, number)
        return outcome


def _judged(seeds: Mapping[int | None, Sequence[float]]) -> Event:
    """Report trajectories by seed and the median of their last values; ``None`` stands for all seeds together."""
    plain = {seed: [float(value) for value in values] for seed, values in seeds.items()}
    if not plain or not all(plain.values()):
        raise ValueError("no value was measured")
    value = statistics.median(values[-1] for values in plain.values())
    if None in plain:
        return {"value": value}
    return {"value": value, "seeds": {int(seed): values for seed, values in plain.items() if seed is not None}}


def _read_high_water_mark() -> None:
    """Have asv_runner read the peak of this program alone, where the system tells.

    The number that it reads by default is inherited by a new process from the one that started it.
    """
    if os.path.exists("/proc/self/status"):
        importlib.import_module("asv_runner.benchmarks.peakmem").get_maxrss = _high_water_mark  # type: ignore[attr-defined]


def _high_water_mark() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
