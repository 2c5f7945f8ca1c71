"""Variants of the kernels that a GPU is to choose among: each is another text or another plan, and compiles."""

import math
from collections.abc import Callable
from types import ModuleType

import pytest
from click.testing import CliRunner

from ics_bench.kernels.cuda import rows
from ics_bench.kernels.cuda.geometry import Device
from ics_bench.kernels.cuda.launch import why_not_here
from ics_bench.kernels.cuda.plan import plan
from ics_bench.kernels.cuda.resources import compile_text, why_not
from ics_bench.kernels.cuda.source import source
from ics_bench.kernels.race import name_of
from ics_bench.kernels.spec import Problem, floor_bytes

H200 = Device(multiprocessors=132, clusters=True, shared_bytes=227 * 1024)


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("kernel_variants")


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_every_copy_is_another_and_compiles_without_a_spill(script: ModuleType) -> None:
    texts = {name: copy.source("copy") for name, copy in script.COPIES.items()}
    assert texts.pop("ours") == source("copy").replace("KERNEL(512, 2) copy(", "KERNEL(512, 1) copy(")
    assert len({*texts.values(), source("copy")}) == len(texts) + 1
    for name, text in texts.items():
        (taken,) = compile_text(text, "copy.cu", ["copy"], "sm_90").values()
        assert taken.spill_bytes == 0, name


def test_every_copy_moves_every_byte(script: ModuleType) -> None:
    for copy in script.COPIES.values():
        (launch,) = copy.plan(16 * 10**6).launches
        assert launch.grid[0] * math.prod(launch.block) * copy.vectors >= 10**6


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_plain_stores_are_another_kernel(script: ModuleType) -> None:
    text = script.Variant(store="plain").source("row_norm")
    assert text != source("row_norm")
    compile_text(text, "row_norm.cu", ["row_forward<bf16, 8, Blocks<1>, Layer>"], "sm_90")


def test_every_variant_of_constants_is_a_plan_of_its_own_for_some_problem(script: ModuleType) -> None:
    before = {name: getattr(rows, name) for name in ("WAVES", "MOST_THREADS", "CLUSTERED")}
    differ: dict[str, bool] = {}
    for problem in script.PROBLEMS:
        usual = plan(problem, H200, aligned=True)
        for name, variant in script.kernels(problem).items():
            with script.constants(rows, variant.constants):
                made = plan(problem, H200, aligned=True)
            differ[name] = differ.get(name, False) or made != usual
    assert {name for name, is_so in differ.items() if not is_so} == {"ours", "stores plain"}
    assert before == {name: getattr(rows, name) for name in before}


def test_problems_are_large_enough_to_tell_of_bandwidth(script: ModuleType) -> None:
    assert all(floor_bytes(problem) >= 256e6 for problem in script.PROBLEMS)
    assert len({name_of(problem) for problem in script.PROBLEMS}) == len(script.PROBLEMS)
    assert Problem("layer", "forward", (32768, 4096), "bfloat16") in script.PROBLEMS


@pytest.mark.skipif(why_not_here() is None, reason="there is a GPU")
def test_without_a_gpu_it_says_why_not(script: ModuleType) -> None:
    outcome = CliRunner().invoke(script.main, [])
    assert outcome.exit_code == 1
    assert str(why_not_here()) in outcome.output
