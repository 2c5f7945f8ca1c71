"""How close normalization kernels come to the speed of a copy, each checked for correctness first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.core.environment import last_level_cache_bytes
from ics_bench.core.text import without_surrogates
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels.capacity import GIGA, free_bytes, on_chip_bytes
from ics_bench.kernels.clock import BUDGET_SECONDS, CPU_WARM_UP_SECONDS, MAX_ROUNDS, MIN_ROUNDS, WARM_UP_SECONDS
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.rotation import CACHE_FACTOR, MEBIBYTE, plan_sets
from ics_bench.kernels.spec import (
    CHANNELS_LAST_RANKS,
    GROUP_NORMS,
    KERNEL_NORMS,
    ROW_NORMS,
    Direction,
    Layout,
    Problem,
    floor_bytes,
    kept_floor_bytes,
    parse_shape,
)
from ics_bench.subjects import NORMS
from ics_bench.workloads._kernel_machine import GPU_METRICS, of_the_gpu

if TYPE_CHECKING:
    from ics_bench.kernels.provider import Provider
    from ics_bench.kernels.throughput import Throughput

SHARES = ("copy_share", "bus_share", "roof_share", "vendor_share")
"""Metrics that compare with the memory's speed."""

KEPT = ("kept_bytes", "kept_over_floor")
"""Metrics of a forward pass that autograd records."""

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "zero_centered": ("zero_centered",),
    "residual": ("residual",),
    "residual_zero_centered": ("residual", "zero_centered"),
}
"""Modes of the norms of rows besides the plain one, with the fields of `Problem` that they turn on."""


class ShapeAxis(Axis):
    """Shapes written as ``4096x1024``."""

    def parse(self, value: Scalar) -> Scalar:
        """Check a shape and return it in lower case without leading zeros."""
        return "x".join(str(size) for size in parse_shape(str(value)))


class KernelThroughput(Workload):
    """Time one normalization kernel, alternating with a copy of as many bytes.

    Before it is timed, a kernel is checked against a float64 reference on adversarial inputs and on its
    own shape. One that errs beyond the derived bound (`ics_bench.kernels.bounds`) is wrong:
    ``error_over_bound`` is above 1, a warning says where, and there are no timings. A norm without a
    reference (``--norm module:Name``) is timed as its module, unchecked, with a warning.

    - *bandwidth*: fewest bytes that the problem moves (`ics_bench.kernels.spec.floor_bytes`) over the
      median time. A kernel that reads its input twice has half the bandwidth, not twice the bytes.
    - *copy_share*: bandwidth over the copy's, whose bytes count twice, once read and once written.
      Ordinary stores first read the line that they overwrite, in the copy and in the kernel: a forward
      pass can then reach 1, and a backward pass 9/8, as it writes one byte in three instead of one in
      two.
    - *bus_share*: bandwidth over the copy's with its bytes counted three times. This is the share of
      what non-temporal stores would reach, if the copy's are ordinary ones; if the copy already uses
      non-temporal stores, *copy_share* is. A GPU does not read what it overwrites, and has none.
    - *roof_share*: *copy_share* with the input counted again where a reduction set exceeds a core's
      private cache, or the registers and shared memory of a GPU's cooperating blocks
      (`ics_bench.kernels.spec.roof_bytes`).
    - *vendor_share*: bandwidth over the datasheet's, on a GPU whose datasheet is known.
    - *kept_bytes*: what a forward pass that autograd records keeps for its backward pass, each storage
      once, without parameters and running statistics (`ics_bench.kernels.kept`). *kept_over_floor* is
      that over the fewest (`ics_bench.kernels.spec.kept_floor_bytes`): x and its statistics. Only of
      forward cases, and of providers that autograd knows.

    Parameters and statistics are float32. Buffers rotate through up to four times the last-level
    cache; ``memory_mib`` caps that, on a GPU only beyond what leaves its cache, and a working set that is too
    small is said to be so. One that fits the cache gets no shares: they would score the cache.
    On a processor the C library is told to keep what is freed, so that a kernel that allocates its outputs finds
    their pages mapped, as those of a buffer made beforehand are.

    On a GPU the copy is ours, 16 bytes a load; kernels and copy are replayed in CUDA graphs, checked by
    cold launches, and the GPU's clocks, power, temperature and throttling are recorded, never set
    (`ics_bench.kernels.cuda_clock`).
    """

    name = "kernel_throughput"
    version = 4
    summary = "normalization kernels, checked for correctness, against a copy of as many bytes"
    metrics = (
        Metric("time", "s", "lower", "timing", "median of one call; curve: every round"),
        Metric("time_low", "s", "lower", "timing", "lower end of the median's 95 % interval", headline=False),
        Metric("time_high", "s", "lower", "timing", "upper end of the median's 95 % interval", headline=False),
        Metric("bandwidth", "GB/s", "higher", "timing", "fewest bytes possible over the median time"),
        Metric("working_set", "B", "neutral", "timing", "of the buffers that take turns", headline=False),
        Metric("copy_bandwidth", "GB/s", "neutral", "timing", "the copy's, bytes counted twice; curve: every round"),
        Metric("bus_bandwidth", "GB/s", "neutral", "timing", "the copy's, bytes counted three times", headline=False),
        Metric("copy_share", "1", "higher", "timing", "bandwidth over copy_bandwidth"),
        Metric("bus_share", "1", "higher", "timing", "bandwidth over bus_bandwidth", headline=False),
        Metric("roof_share", "1", "higher", "timing", "copy_share under the shape's own roof", headline=False),
        Metric("vendor_share", "1", "higher", "timing", "bandwidth over the datasheet's", headline=False),
        Metric("kept_bytes", "B", "lower", "exact", "kept by the forward pass for the backward pass", headline=False),
        Metric("kept_over_floor", "1", "lower", "exact", "kept_bytes over the fewest", headline=False),
        Metric("gpu_clock", "MHz", "neutral", "timing", "of the multiprocessors, at work", headline=False),
        Metric("gpu_memory_clock", "MHz", "neutral", "timing", "of the memory, at work", headline=False),
        Metric("gpu_power", "W", "neutral", "timing", "drawn at work", headline=False),
        Metric("gpu_temperature", "°C", "neutral", "timing", "at work", headline=False),
        Metric(
            "error_over_bound",
            "1",
            "lower",
            "exact",
            "largest error in units of its bound; above 1 the kernel is wrong",
            smallest_effect=0.1,
        ),
    )
    axes = (
        Axis(
            "norm",
            "what is computed; a norm without a reference is timed unchecked",
            quick=("layer", "rms", "batch", "group", "instance"),
            registry=NORMS,
        ),
        Axis("direction", "forward, or backward alone", ("forward", "backward"), choices=("forward", "backward")),
        Axis(
            "mode",
            "batch norm's statistics, or a variant of a norm of rows",
            quick=("train", "eval"),
            choices=("train", "eval", *VARIANTS),
        ),
        Axis(
            "dtype",
            "format of x, y and their gradients",
            quick=("float32",),
            standard=("float32", "bfloat16"),
            full=("float32", "bfloat16", "float16"),
            choices=("float32", "bfloat16", "float16"),
        ),
        ShapeAxis(
            "shape",
            "rows x features, or samples x channels x height x width",
            quick=("1024x1024", "8x64x28x28"),
            standard=("4096x1024", "2048x2041", "32x64x56x56"),
            full=(
                "4096x128", "32768x1024", "4096x4095", "4096x16384", "1048576x128", "3136x256",
                "256x64x56x56", "256x2048x7x7", "32x320x64x64",
            ),
        ),
        Axis(
            "layout",
            "order of x and its like in memory",
            quick=("contiguous",),
            standard=("contiguous", "channels_last"),
            choices=("contiguous", "channels_last"),
        ),
        Axis(
            "provider",
            "whose kernel",
            quick=("torch_eager", "module", "cuda"),
            full=("torch_eager", "torch_compile", "module", "cuda", "cupy_arrays", "cupy_reduction"),
            registry=PROVIDERS,
        ),
        Axis("memory_mib", "most memory for the rotated buffers", quick=(64,), standard=(2560,), minimum=1),
    )  # fmt: skip
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 1, "full": 3}
    paired = ("provider", "memory_mib")
    exclusive = True
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "gpu_warm_up_seconds": WARM_UP_SECONDS,
        "cpu_warm_up_seconds": CPU_WARM_UP_SECONDS,
        "least_rounds": MIN_ROUNDS,
        "most_rounds": MAX_ROUNDS,
        "budget_seconds": BUDGET_SECONDS,
        "cache_factor": CACHE_FACTOR,
    }

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Add a reduced precision and another layout to the quick profile, and variants of the rows to the full one."""
        if profile == "standard":
            return ()
        if profile == "full":
            return tuple(self._variants())
        first = {axis.name: axis.quick[0] for axis in self.axes}
        return (
            Case.of({**first, "norm": "layer", "dtype": "bfloat16"}),
            Case.of({**first, "norm": "batch", "shape": "8x64x28x28", "layout": "channels_last"}),
        )

    def _variants(self) -> Iterator[Case]:
        first = {axis.name: axis.values("full")[0] for axis in self.axes}
        for norm, direction, mode, provider in itertools.product(
            ROW_NORMS, ("forward", "backward"), VARIANTS, ("torch_eager", "torch_compile", "cuda")
        ):
            if provider == "torch_compile" and "residual" in VARIANTS[mode]:
                continue  # it declines a residual in reduced precision
            if provider == "torch_eager" and "zero_centered" in VARIANTS[mode]:
                continue  # on a GPU it would round 1 + γ
            point = {"norm": norm, "direction": direction, "mode": mode, "provider": provider}
            yield Case.of({**first, **point, "dtype": "bfloat16", "shape": "32768x1024"})

    def includes(self, case: Case) -> bool:
        """Keep shapes that suit the norm, modes that differ, and providers that have it."""
        norm, rank = case.text("norm"), case.text("shape").count("x") + 1
        rows = rank == 2
        if case["layout"] != "contiguous" and (norm in ROW_NORMS or rank not in CHANNELS_LAST_RANKS):
            return False
        if (norm in ROW_NORMS and not rows) or (norm in GROUP_NORMS and rows):
            return False
        if case["mode"] in VARIANTS and norm not in ROW_NORMS:
            return False
        if case["mode"] == "eval" and norm in (*ROW_NORMS, *GROUP_NORMS):
            return False
        return load_provider(case.text("provider")).takes(norm)

    def applies(self, metric: str, case: Case) -> bool:
        """Only norms with a reference have an error, and only working sets beyond the cache have shares.

        Only forward passes keep anything, where autograd records them, and not with constant statistics.

        A case does not name its device: what a GPU alone has is not expected of it, what a processor alone has is, and
        the cache is the processor's.
        """
        if metric in GPU_METRICS:
            return False
        if metric == "error_over_bound":
            return case["norm"] in KERNEL_NORMS
        if metric in KEPT:
            return _keeps(case)
        if metric in SHARES:
            # One group: how many there are, which torch would have to tell, hardly changes the bytes.
            set_bytes = 2 * floor_bytes(_problem(case, groups=1))
            memory = case.integer("memory_mib") * MEBIBYTE
            return not plan_sets(set_bytes, last_level_cache_bytes(), memory).in_cache
        return True

    def norm_input(self, case: Case) -> tuple[int, ...]:
        """Give a foreign norm the shape's own features, at a few samples and positions."""
        shape = parse_shape(case.text("shape"))
        return (4, shape[1], *(3 for _ in shape[2:]))

    def cost(self, case: Case) -> float:
        """Grow with the elements: the oracle takes most of the time."""
        return 1.0 + math.prod(parse_shape(case.text("shape"))) / MEBIBYTE

    def skip(self, case: Case, device: str) -> str | None:
        """Answer with the provider's reason, or with what the machine lacks."""
        problem = _problem(case)
        reason = load_provider(case.text("provider")).why_not(problem, device)
        if reason is not None:
            return reason
        needed, free = 4 * floor_bytes(problem), free_bytes(device)
        if needed > free:
            return f"shape {case['shape']} needs {needed / MEBIBYTE:.0f} MiB and {free / MEBIBYTE:.0f} MiB are free"
        return None

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Check the kernel on every seed's inputs, then time it on the first's."""
        from ics_bench.kernels.check import check
        from ics_bench.kernels.throughput import measure_throughput

        problem, provider = _problem(case), load_provider(case.text("provider"))
        warnings: list[str] = []
        if problem.known:
            wrong = False
            for seed in seeds:
                verdict = check(provider, problem, self.seed_for(case, seed, "inputs"), device)
                wrong |= not verdict.correct
                yield self.measurement(
                    case, seed, "error_over_bound", verdict.error_over_bound, warnings=verdict.warnings()
                )
            if wrong:
                return
        else:
            warnings.append(f"correctness not checked: there is no reference for norm {problem.norm!r}")
        timing_seed = self.seed_for(case, seeds[0], "timing")
        timed = measure_throughput(provider, problem, timing_seed, device, case.integer("memory_mib") * MEBIBYTE)
        warnings += timed.warnings
        kept: list[Measurement] = []
        if _keeps(case):
            try:
                kept += self._kept(case, problem, provider, timing_seed, device)
            except Exception as error:  # a case that raises loses all its measurements, and these are an extra
                said = without_surrogates(" ".join(str(error).split()))
                warnings.append(f"kept_bytes could not be counted: {type(error).__name__}: {said:.200}")
        yield from self._timings(case, problem, timed, warnings, device)
        yield from kept

    def _kept(self, case: Case, problem: Problem, provider: Provider, seed: int, device: str) -> list[Measurement]:
        from ics_bench.kernels.inputs import draw
        from ics_bench.kernels.kept import kept_bytes

        adapted = provider.adapted(problem, device)
        kept = kept_bytes(provider, adapted, draw(adapted, "normal", seed, device))
        if kept is None:
            return []
        return [
            self.measurement(case, None, "kept_bytes", kept),
            self.measurement(case, None, "kept_over_floor", kept / kept_floor_bytes(problem)),
        ]

    def _timings(
        self, case: Case, problem: Problem, timed: Throughput, warnings: Sequence[str], device: str
    ) -> Iterator[Measurement]:
        from ics_bench.kernels.scores import rates

        reached = rates(problem, timed, on_chip_bytes(device))
        kernel, bandwidth = reached.kernel, reached.bandwidth
        rounds = tuple(float(number) for number in range(len(timed.kernel)))
        copy_rates = tuple(timed.copy_bytes / seconds / GIGA for seconds in timed.copy)
        curves = {"time": Curve(rounds, timed.kernel, "round"), "copy_bandwidth": Curve(rounds, copy_rates, "round")}
        values = {
            "time": kernel.median,
            "time_low": kernel.interval.low,
            "time_high": kernel.interval.high,
            "bandwidth": bandwidth,
            "working_set": float(timed.working_set),
            "copy_bandwidth": reached.copy_bandwidth,
            "bus_bandwidth": reached.bus_bandwidth,
            "copy_share": reached.copy_share,
            "bus_share": reached.bus_share,
            "roof_share": reached.roof_share,
            **of_the_gpu(timed, bandwidth, device),
        }
        for name, value in values.items():
            if value is not None and not (timed.in_cache and name in SHARES):
                yield self.measurement(case, None, name, value, curves.get(name), warnings)


def _keeps(case: Case) -> bool:
    """Whether a case is a forward pass of a provider that autograd knows, with statistics of its own."""
    return case["direction"] == "forward" and case["mode"] != "eval" and load_provider(case.text("provider")).trains


def _problem(case: Case, groups: int | None = None) -> Problem:
    """Read the problem off a case, with the groups that group norm takes unless told."""
    norm, shape = case.text("norm"), parse_shape(case.text("shape"))
    direction: Direction = "forward" if case["direction"] == "forward" else "backward"
    if groups is None:
        from ics_bench.subjects.norms.group import group_count

        groups = group_count(shape[1]) if norm == "group" else 1
    layout: Layout = "contiguous" if case["layout"] == "contiguous" else "channels_last"
    mode, dtype = case.text("mode"), case.text("dtype")
    options = VARIANTS.get(mode, ())
    return Problem(
        norm,
        direction,
        shape,
        dtype,
        mode != "eval",
        groups,
        layout=layout,
        zero_centered="zero_centered" in options,
        residual="residual" in options,
    )


WORKLOAD = KernelThroughput()
