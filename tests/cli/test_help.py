from __future__ import annotations

import importlib

import click
import pytest

from ics_bench import __version__
from ics_bench.cli.main import COMMANDS, help_text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_a_page_of_help(command, name):
    done = command(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: ics-bench {name} ")
    summary = importlib.import_module(f"ics_bench.cli.{name}").command
    assert isinstance(summary, click.Command)
    assert all(parameter.name for parameter in summary.params)


@pytest.mark.parametrize("name", ["run", "claims"])
def test_exit_codes_are_documented_where_they_matter(command, name):
    out = command(name, "--help").out
    for code in ("0  yes", "1  the answer is no", "2  could not", "3  inconclusive", "130, 143"):
        assert code in out
        assert code in help_text()


def test_the_fast_help_is_the_help(command):
    assert command("--help").out == help_text()


def test_nothing_is_listed_that_does_not_exist():
    for name in COMMANDS:
        importlib.import_module(f"ics_bench.cli.{name}")


def test_version(command):
    assert command("--version").out == f"ics-bench, version {__version__}\n"
