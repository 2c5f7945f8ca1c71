import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ics_bench.core import Case, UsageError
from ics_bench.core.workload import PROFILES
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.spec import KERNEL_NORMS, Problem, floor_bytes, parse_shape
from ics_bench.workloads._kernel_machine import GPU_METRICS
from ics_bench.workloads.kernel_throughput import KEPT, SHARES, VARIANTS, WORKLOAD, _problem

ON_CPU = {metric.name for metric in WORKLOAD.metrics} - set(GPU_METRICS)

PLUG_INS = '''
import torch
from torch import nn
from ics_bench.kernels.provider import Chains, Provider


class Tanh(nn.Module):
    """Not a norm that has a reference."""

    def __init__(self, num_features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))

    def forward(self, x):
        return torch.tanh(x) * self.weight.view(1, -1, *[1] * (x.dim() - 2))


class LastDimension(nn.LayerNorm):
    pass


class InFloat32(Tanh):
    def forward(self, x):
        return torch.tanh(x).float()


class Halved(Provider):
    summary = "layer norm, but for a factor"
    norms = frozenset({"layer"})
    directions = frozenset({"forward"})
    factor = 0.5

    def chains(self, problem, device):
        return Chains(100, 100, 100)

    def prepare(self, problem, tensors):
        size = [problem.num_features]

        def kernel():
            y = nn.functional.layer_norm(tensors.x, size, tensors.weight, tensors.bias, problem.eps)
            return (y * self.factor,)

        return kernel


class Whole(Halved):
    factor = 1.0
'''


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "kernel_plug_ins.py").write_text(PLUG_INS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "kernel_plug_ins"
    sys.modules.pop("kernel_plug_ins", None)


def _only(**overrides: object) -> Case:
    overrides.setdefault("provider", "module" if ":" in str(overrides["norm"]) else "torch_eager")
    cases = WORKLOAD.cases("quick", {name: [value] for name, value in overrides.items()})
    assert len(cases) == 1, cases
    return cases[0]


@pytest.fixture
def set_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Describe another last-level cache, as the system describes this machine's."""

    def describe(size: str) -> None:
        folder = tmp_path / "cache" / "index3"
        folder.mkdir(parents=True)
        (folder / "level").write_text("3\n")
        (folder / "size").write_text(f"{size}\n")
        monkeypatch.setattr("ics_bench.core.environment.CPU_CACHES", folder.parent)

    return describe


def _measure(case: Case) -> dict:
    assert WORKLOAD.skip(case, "cpu") is None
    measurements = list(WORKLOAD.measure(case, [0, 1], "cpu"))
    assert all(m.workload == WORKLOAD.name and m.case == case for m in measurements)
    return {m.metric: m for m in measurements}


def test_a_correct_kernel_is_scored_in_every_metric_and_the_scores_agree(set_cache) -> None:
    set_cache("256K")
    case = _only(norm="layer", direction="backward", mode="train", shape="48x64", memory_mib=2)
    found = _measure(case)
    assert set(found) == ON_CPU - set(KEPT)  # a backward pass keeps nothing
    value = {name: measurement.value for name, measurement in found.items()}
    floor = floor_bytes(Problem("layer", "backward", (48, 64)))
    assert math.isclose(value["bandwidth"] * 1e9 * value["time"], floor)
    assert math.isclose(value["copy_share"] * value["copy_bandwidth"], value["bandwidth"])
    assert math.isclose(value["bus_bandwidth"], 1.5 * value["copy_bandwidth"])
    assert math.isclose(value["bus_share"], value["copy_share"] / 1.5)
    assert value["time_low"] <= value["time"] <= value["time_high"]
    assert 0 < value["error_over_bound"] <= 1
    curve = found["time"].curve
    assert curve is not None
    assert curve.label == "round"
    assert min(curve.y) <= value["time_low"]
    assert [m.unit for m in found.values()] == [WORKLOAD.metric(name).unit for name in found]


def test_a_working_set_inside_the_cache_is_labelled_and_gets_no_share(set_cache) -> None:
    set_cache("64M")
    case = _only(norm="group", direction="forward", shape="2x8x5x5", memory_mib=32)
    assert {name for name in ON_CPU if not WORKLOAD.applies(name, case)} == ON_CPU & set(SHARES)
    found = _measure(case)
    assert set(found) == ON_CPU - set(SHARES)
    assert any("no share of the copy is scored" in warning for warning in found["time"].warnings)
    beyond = _only(norm="group", direction="forward", shape="2x8x5x5", memory_mib=128)
    assert all(WORKLOAD.applies(name, beyond) for name in ON_CPU & set(SHARES))


@pytest.mark.parametrize("cache", ["1M", "2M", "8M", "10G"])
@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_every_metric_that_applies_is_measured(set_cache, cache: str, norm: str, direction: str) -> None:
    set_cache(cache)
    shape = "64x1024" if norm == "layer" else "8x8x32x32"
    case = _only(norm=norm, direction=direction, shape=shape, memory_mib=4)
    assert set(_measure(case)) == {m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, case)}


def test_a_small_working_set_is_said_to_be_one_wherever_its_numbers_go(set_cache) -> None:
    set_cache("512K")
    found = _measure(_only(norm="rms", direction="forward", shape="16x64", memory_mib=1))
    timed = [m for name, m in found.items() if name not in ("error_over_bound", *KEPT)]
    assert all(any("working set" in warning for warning in m.warnings) for m in timed)
    assert not any("working set" in warning for warning in found["error_over_bound"].warnings)


def test_a_wrong_kernel_is_reported_and_not_timed(plug_ins: str) -> None:
    case = _only(norm="layer", shape="16x64", memory_mib=1, provider=f"{plug_ins}:Halved", direction="forward")
    found = _measure(case)
    assert set(found) == {"error_over_bound"}
    assert found["error_over_bound"].value > 1
    assert "wrong, so not timed" in found["error_over_bound"].warnings[0]


def test_a_provider_of_your_own_competes_on_the_same_inputs(plug_ins: str, set_cache) -> None:
    set_cache("256K")
    overrides = {"norm": "layer", "shape": "16x64", "memory_mib": 1, "direction": "forward"}
    mine, ours = (_only(provider=p, **overrides) for p in (f"{plug_ins}:Whole", "torch_eager"))
    assert {"time", "copy_share"} <= set(_measure(mine))
    assert WORKLOAD.seed_for(mine, 0, "inputs") == WORKLOAD.seed_for(ours, 0, "inputs")


def test_what_a_provider_lacks_is_skipped_with_its_reason(plug_ins: str) -> None:
    case = _only(norm="layer", shape="16x64", provider=f"{plug_ins}:Halved", direction="backward")
    reason = WORKLOAD.skip(case, "cpu")
    assert reason is not None
    assert "no direction 'backward'" in reason


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("shape", ["16x64", "2x8x5x5"])
def test_a_norm_of_your_own_is_timed_unchecked_and_says_so(
    plug_ins: str, set_cache, shape: str, direction: str
) -> None:
    set_cache("256K")
    norm = f"{plug_ins}:Tanh"
    case = _only(norm=norm, shape=shape, direction=direction, mode="train", memory_mib=1)
    assert case["provider"] == "module"
    assert not WORKLOAD.applies("error_over_bound", case)
    found = _measure(case)
    kept = set(KEPT) if direction == "forward" else set()
    assert set(found) == ON_CPU - {"error_over_bound"} - (set(KEPT) - kept)
    assert all(any(norm in warning for warning in m.warnings) for name, m in found.items() if name not in kept)
    if kept:
        assert found["kept_bytes"].value == math.prod(parse_shape(shape)) * 4  # tanh's result serves both gradients
    transfers = 2 if direction == "forward" else 3
    moved = transfers * math.prod(parse_shape(shape)) * 4
    assert math.isclose(found["bandwidth"].value * 1e9 * found["time"].value, moved)


def test_what_a_forward_pass_keeps_is_set_against_the_fewest_bytes() -> None:
    layer = _measure(_only(norm="layer", direction="forward", shape="16x64", memory_mib=1))
    assert layer["kept_bytes"].value == 4 * (16 * 64 + 2 * 16)
    assert layer["kept_over_floor"].value == 1.0
    assert layer["kept_bytes"].warnings == ()  # it is no timing
    rms = _measure(_only(norm="rms", direction="forward", shape="16x64", memory_mib=1))
    assert rms["kept_over_floor"].value > 1.5  # composed of other operators on the processor


def test_bytes_that_cannot_be_counted_cost_no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise torch.OutOfMemoryError("tried to allocate 8 GiB")

    monkeypatch.setattr("ics_bench.kernels.kept.kept_bytes", fail)
    found = _measure(_only(norm="layer", direction="forward", shape="16x64", memory_mib=1))
    assert not set(KEPT) & set(found)
    said = "kept_bytes could not be counted: OutOfMemoryError: tried to allocate 8 GiB"
    assert said in found["time"].warnings
    assert said not in found["error_over_bound"].warnings


def test_no_variant_of_the_full_profile_is_one_that_its_provider_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("ics_bench.kernels.cuda.launch.why_not_here", lambda: None)
    monkeypatch.setattr("ics_bench.kernels.providers.cuda.Cuda.chains", lambda *_: None)
    variants = [case for case in WORKLOAD.cases("full") if case["mode"] in VARIANTS]
    assert {case["provider"] for case in variants} == {"torch_eager", "torch_compile", "cuda"}
    for case in variants:
        assert load_provider(case.text("provider")).why_not(_problem(case), "cuda") is None, case


def test_constant_statistics_and_providers_without_autograd_keep_nothing(plug_ins: str) -> None:
    constant = _only(norm="batch", direction="forward", mode="eval", shape="256x64", memory_mib=1)
    unrecorded = _only(norm="layer", shape="16x64", provider=f"{plug_ins}:Whole", direction="forward", memory_mib=1)
    for case in (constant, unrecorded):
        assert not any(WORKLOAD.applies(name, case) for name in KEPT)
        assert not set(KEPT) & set(_measure(case))


def test_a_norm_of_your_own_is_skipped_on_shapes_that_it_does_not_take(plug_ins: str) -> None:
    case = _only(norm=f"{plug_ins}:LastDimension", shape="2x8x5x5", mode="train", direction="forward")
    assert "does not take" in str(WORKLOAD.skip(case, "cpu"))


def test_a_norm_of_your_own_that_leaves_the_format_is_skipped_there(plug_ins: str) -> None:
    overrides = {"norm": f"{plug_ins}:InFloat32", "shape": "16x64", "mode": "train", "direction": "forward"}
    assert WORKLOAD.skip(_only(**overrides, dtype="float32"), "cpu") is None
    assert "turns bfloat16 into float32" in str(WORKLOAD.skip(_only(**overrides, dtype="bfloat16"), "cpu"))


def test_a_norm_of_your_own_is_tried_on_the_shapes_own_features(plug_ins: str) -> None:
    case = _only(norm=f"{plug_ins}:Tanh", shape="32x320x64x64", mode="train", direction="forward")
    assert WORKLOAD.norm_input(case) == (4, 320, 3, 3)
    assert WORKLOAD.norm_input(_only(norm="layer", shape="16x64", direction="forward")) == (4, 64)


def test_the_identity_is_skipped() -> None:
    for case in WORKLOAD.cases("quick", {"norm": ["none"]}):
        assert "identity" in str(WORKLOAD.skip(case, "cpu"))


def test_a_shape_beyond_the_memory_and_a_device_without_a_clock_are_skipped() -> None:
    huge = _only(norm="layer", shape="99999999x99999", direction="forward")
    assert "MiB are free" in str(WORKLOAD.skip(huge, "cpu"))
    assert WORKLOAD.skip(_only(norm="layer", shape="16x64", direction="forward"), "cuda") is not None


def test_our_cuda_kernels_are_skipped_on_the_processor_with_the_reason() -> None:
    for case in WORKLOAD.cases("quick", {"provider": ["cuda"]}):
        assert WORKLOAD.skip(case, "cpu") == "Cuda has no device 'cpu'; it has cuda"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"norm": "layer", "layout": "channels_last"}, "has no case"),
        ({"norm": "batch", "shape": "4x8", "layout": "channels_last"}, "has no case"),
        ({"layout": "NHWC"}, "channels_last"),
        ({"shape": "12"}, "for example 4096x1024"),
        ({"shape": "4x0"}, "shape '4x0'"),
        ({"norm": "layer", "shape": "2x3x4x5"}, "has no case with norm=layer, shape=2x3x4x5"),
        ({"norm": "group", "shape": "4x8"}, "has no case"),
        ({"norm": "layer", "mode": "eval"}, "has no case"),
        ({"norm": "batch", "mode": "zero_centered"}, "has no case"),
        ({"norm": "layer", "provider": "module"}, "has no case"),
        ({"provider": "torch_eagre"}, "did you mean 'torch_eager'"),
        ({"provider": "math:pi"}, "expected an ics_bench"),
        ({"dtype": "float23"}, "float32"),
        ({"memory_mib": 0}, "below the minimum"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(overrides: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        WORKLOAD.cases("quick", {name: [value] for name, value in overrides.items()})


@pytest.mark.parametrize("mode", VARIANTS)
def test_a_variant_is_a_mode_of_the_norms_of_rows(mode: str, plug_ins: str) -> None:
    case = _only(norm="rms", mode=mode, direction="backward", shape="16x64", memory_mib=1)
    assert _problem(case).options == VARIANTS[mode]
    found = _measure(case)
    assert found["error_over_bound"].value <= 1
    assert "time" in found
    mine = _only(norm="layer", mode=mode, direction="forward", shape="16x64", provider=f"{plug_ins}:Whole")
    assert "has no option" in str(WORKLOAD.skip(mine, "cpu"))


def test_shapes_have_one_spelling() -> None:
    assert _only(norm="layer", shape="016X64", direction="forward")["shape"] == "16x64"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_covers_every_norm_both_ways_on_shapes_that_suit_it(profile: str) -> None:
    cases = WORKLOAD.cases(profile)
    assert {(c["norm"], c["direction"]) for c in cases} == {
        (norm, direction) for norm in KERNEL_NORMS for direction in ("forward", "backward")
    }
    assert len({case.id for case in cases}) == len(cases)
    for case in cases:
        rows = len(parse_shape(case.text("shape"))) == 2
        assert case["norm"] == "batch" or rows == (case["norm"] in ("layer", "rms"))
        assert WORKLOAD.applies("error_over_bound", case)
        assert case["layout"] == "contiguous" or len(parse_shape(case.text("shape"))) == 4
    assert {"torch_eager", "cuda"} <= {case["provider"] for case in cases}
    assert {case["layout"] for case in cases} == {"contiguous", "channels_last"}
    assert any(case["dtype"] != "float32" for case in cases)
    variants = set(VARIANTS) if profile == "full" else set()
    assert {case["mode"] for case in cases} == {"train", "eval"} | variants


def test_listing_the_cases_does_not_import_torch() -> None:
    code = (
        "import sys; from ics_bench.workloads import load_workload; "
        "w = load_workload('kernel_throughput'); [w.cost(c) for c in w.cases('full')]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
