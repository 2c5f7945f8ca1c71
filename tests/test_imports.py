from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "pandas", "numpy", "scipy", "sklearn", "rich", "plotly", "jinja2"}


def imported_by(code: str, *arguments: str) -> set[str]:
    """Top-level packages in ``sys.modules`` after running ``code``."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    command = [sys.executable, "-c", f"{report}\n{code}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_importing_the_package_imports_nothing_heavy():
    assert not imported_by("import ics_bench") & (HEAVY | {"click"})


def test_help_imports_nothing_but_the_entry_point():
    found = imported_by("from ics_bench.cli.main import main; main()", "--help")
    assert not found & (HEAVY | {"click", "psutil"})
    assert "ics_bench" in found


@pytest.mark.parametrize(
    "arguments", [("run", "--help"), ("list", "workloads", "--json"), ("list", "inits"), ("show", "--help")]
)
def test_help_of_a_command_and_lists_import_no_torch(arguments):
    found = imported_by("from ics_bench.cli.group import run_group; run_group(sys.argv[1:])", *arguments)
    assert not found & {"torch", "pandas", "plotly", "sklearn"}


def test_workload_modules_import_no_torch():
    code = "from ics_bench.workloads import WORKLOADS, load_workload\n"
    found = imported_by(code + "for name in WORKLOADS.builtin(): load_workload(name).cases('full')")
    assert not found & {"torch", "pandas"}


def test_suites_of_benchmarks_load_scipy_functions_only_when_they_call_them():
    """A third of a second that asv would wait for in each of its processes."""
    code = "import ics_bench.asv, sys; assert 'numpy' in sys.modules; assert 'scipy.special' not in sys.modules"
    imported_by(code)


def test_a_guarded_check_of_a_kernel_imports_no_compiler():
    code = """
import sys
from ics_bench.kernels.check import run_once
from ics_bench.kernels.provider import load_provider
from ics_bench.kernels.spec import Problem
problem = Problem("layer", "forward", (8, 64))
found = run_once(load_provider("torch_eager"), problem, "normal", 0, "cpu", guarded=True)
assert found and max(found.values()) < 1
assert "torch._dynamo" not in sys.modules
"""
    imported_by(code)


def test_kernel_providers_import_no_library_before_they_run():
    code = "from ics_bench.kernels import PROVIDERS\nfrom ics_bench.kernels.provider import load_provider\n"
    found = imported_by(code + "for name in PROVIDERS.builtin(): load_provider(name)")
    assert not found & {"cupy", "liger_kernel", "quack", "apex"}


def test_imports_point_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed here: pip install 'ics-bench[test]'")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
