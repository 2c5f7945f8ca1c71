"""Every kernel compiles for every architecture, keeps its registers, and needs no GPU for that."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from host_gpu import COMPILER

from ics_bench.core import UsageError
from ics_bench.kernels.cuda import source as sources
from ics_bench.kernels.cuda.geometry import CTYPES
from ics_bench.kernels.cuda.resources import (
    ARCHITECTURES,
    WITH_CLUSTERS,
    Resources,
    compile_all,
    compile_text,
    parse,
    why_not,
)
from ics_bench.kernels.cuda.source import FAMILIES, digest, instantiations, source

needs_compiler = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

REQUIRED = "ICS_BENCH_REQUIRE_COMPILERS"

ROOT = Path(__file__).parents[2]
KEPT = json.loads((ROOT / "reports/kernels/resources.json").read_text())
DOCUMENTED = (ROOT / "docs/kernels.md").read_text()

REGISTERS = {
    r"row_forward<.*PartOfWarp": 80,
    r"row_forward<.*Blocks<1>": 64,
    r"row_forward<.*Blocks<[248]>, (Layer|Rms)>": 64,
    r"row_forward<.*Blocks<[248]>, .*true": 128,
    r"(row_backward|long)": 128,
    r"group": 64,
    r"channel": 128,
}
"""Most registers a thread under each kernel's launch bounds, by what its name begins with."""


def _require_no_spills(found: Mapping[str, Resources], clusters: bool) -> None:
    assert {name: taken for name, taken in found.items() if taken.spill_bytes or taken.stack_bytes} == {}
    for stem, most in REGISTERS.items():
        taken = {name: resources.registers for name, resources in found.items() if re.match(stem, name)}
        assert taken or ("[248]" in stem and not clusters)
        assert max(taken.values(), default=0) <= most, taken


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kept_report_is_of_these_sources_and_holds_every_kernel_without_a_spill(architecture: str) -> None:
    assert KEPT["sources"] == digest(), "run benchmarks/kernel_resources.py --json reports/kernels/resources.json"
    found = {name: Resources(*values) for name, values in KEPT["kernels"][architecture].items()}
    every = [name for family in FAMILIES for name in instantiations(family, architecture in WITH_CLUSTERS)]
    assert sorted(found) == sorted(every)
    _require_no_spills(found, architecture in WITH_CLUSTERS)


def test_whatever_the_compiler_is_told_makes_another_report(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {digest()}
    for name in ("OPTIONS", "CUPY_OPTIONS"):
        with monkeypatch.context() as changed:
            changed.setattr(sources, name, (*getattr(sources, name), "-use_fast_math"))
            found.add(digest())
    with monkeypatch.context() as moved:
        moved.setattr(sources, "OPTIONS", sources.OPTIONS + sources.CUPY_OPTIONS)
        moved.setattr(sources, "CUPY_OPTIONS", ())
        found.add(digest())
    assert len(found) == 4


def test_the_documented_registers_are_those_of_the_report() -> None:
    for kind in {name.partition("<")[0] for name in KEPT["kernels"]["sm_90"]}:
        most = [
            max(taken[0] for name, taken in KEPT["kernels"][one].items() if name.partition("<")[0] == kind)
            for one in ARCHITECTURES
        ]
        assert f"| `{kind}` | {' | '.join(map(str, most))} |\n" in DOCUMENTED
    assert f"{sum(map(len, KEPT['kernels'].values()))} kernels; none spills" in DOCUMENTED


def test_what_is_documented_of_the_registers_of_rows_is_so() -> None:
    kernels = [item for found in KEPT["kernels"].values() for item in found.items()]
    for stem, said in (
        (r"row_forward<.*Blocks<1>", "forward {} to {} registers"),
        ("row_backward", "backward {} to {}"),
    ):
        taken = [values[0] for name, values in kernels if re.match(stem, name) and ", 1, " not in name]
        assert said.format(min(taken), max(taken)) in " ".join(DOCUMENTED.split())


@pytest.mark.skipif(os.environ.get(REQUIRED) != "1", reason=f"{REQUIRED} is not set: what needs a compiler may skip")
def test_where_the_compilers_are_required_they_are_there() -> None:
    assert why_not() is None
    assert shutil.which(COMPILER), f"building the kernels for the processor needs {COMPILER}"


@needs_compiler
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", CTYPES)
def test_kernels_compile_to_what_the_report_says(architecture: str, dtype: str) -> None:
    (found,) = compile_all([architecture], [dtype]).values()
    _require_no_spills(found, architecture in WITH_CLUSTERS)
    kept = {name: Resources(*KEPT["kernels"][architecture][name]) for name in found}
    from cupy.cuda import nvrtc

    if ".".join(map(str, nvrtc.getVersion())) == KEPT["nvrtc"]:  # another compiler may choose other registers
        assert kept == found


@needs_compiler
def test_a_kernel_pressed_into_too_few_registers_is_seen_to_spill() -> None:
    pressed = source("row_norm").replace("KERNEL(BACKWARD_THREADS, 1)", "KERNEL(BACKWARD_THREADS, 4)")
    (found,) = compile_text(pressed, "row_norm.cu", ["row_backward<float, 4, Blocks<1>, Layer>"], "sm_90").values()
    assert found.registers <= 32
    assert found.spill_bytes > 0


@needs_compiler
def test_an_array_indexed_at_run_time_is_seen_on_the_stack() -> None:
    text = source("partials").replace(
        "float sum[1] = {0.0f};", "float sum[1] = {0.0f}, kept[64]; kept[parts % 64] = 1;"
    )
    text = text.replace("[column] = sum[0];", "[column] = sum[0] + kept[columns % 64];")
    (found,) = compile_text(text, "partials.cu", ["sum_partials"], "sm_90").values()
    assert found.stack_bytes > 0


@needs_compiler
def test_an_error_names_the_file_the_architecture_and_the_line() -> None:
    with pytest.raises(UsageError, match=r"broken\.cu for sm_90.*broken\.cu\(1\)"):
        compile_text("__global__ void k() { undeclared(); }", "broken.cu", ["k"], "sm_90")


LOG = """ptxas info    : Compiling entry function '_Z1aPf' for 'sm_90'
ptxas info    : Function properties for _Z1aPf
ptxas         .     96 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers
ptxas info    : Compiling entry function '_Z1bPf' for 'sm_90'
ptxas info    : Function properties for _Z1bPf
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 14 registers, used 0 barriers
"""


def test_the_compilers_log_is_read() -> None:
    assert parse(LOG) == {"_Z1aPf": Resources(255, 96, 20), "_Z1bPf": Resources(14, 0, 0)}
    with pytest.raises(ValueError, match="says nothing of _Z1bPf"):
        parse(LOG.replace("14 registers", "few"))
