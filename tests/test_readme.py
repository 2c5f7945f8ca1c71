"""Every command and name that README documents exists."""

import re
import shlex
from pathlib import Path

import pytest

from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads import WORKLOADS

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = sorted(
    {line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("ics-bench ")}
)


@pytest.mark.parametrize("line", COMMANDS)
def test_documented_commands_and_options_exist(command, line):
    _, name, *arguments = shlex.split(line)
    outcome = command(name, "--help")
    assert outcome.code == 0
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert re.search(rf"{re.escape(option)}\b", outcome.out), option


def test_readme_documents_every_command(command):
    listed = re.findall(r"^  ([a-z]+)  ", command("--help").out, flags=re.MULTILINE)
    assert listed
    assert not [name for name in listed if not re.search(rf"ics-bench {name}\b", README)]


def test_readme_names_every_workload_and_entry_point_group():
    for workload in WORKLOADS.builtin():
        assert f"| `{workload}` |" in README
    for registry in (NORMS, ARCHITECTURES, DATASETS, INITIALIZERS, OPTIMIZERS, WORKLOADS):
        assert f"`{registry.group}`" in README


def test_readme_has_the_two_commands_each_with_its_own_set_up():
    main, tests = BLOCKS[0].strip(), BLOCKS[1].strip()
    for line in (main, tests):
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt")
        assert "\n" not in line
    assert main.endswith("ics-bench run --profile quick --report")
    assert tests.endswith("python -m pytest -n 2 --dist loadfile")
