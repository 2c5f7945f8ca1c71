from __future__ import annotations

import importlib
import re

import click
import pytest

from ics_bench import __version__
from ics_bench.cli.main import COMMANDS, help_text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_a_page_of_help(command, name):
    done = command(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: ics-bench {name} ")
    own = importlib.import_module(f"ics_bench.cli.{name}").command
    for option in (parameter for parameter in own.params if isinstance(parameter, click.Option)):
        assert any(line.split()[:1] == [option.opts[0]] for line in done.out.splitlines()), option.opts


@pytest.mark.parametrize(
    ("page", "codes"),
    [
        ((), ["0", "1", "2", "3", "129, 130, 143", "141"]),
        (("claims",), ["0", "1", "2", "3", "129, 130, 143", "141"]),
        (("run",), ["0", "2", "129, 130, 143", "141"]),
    ],
)
def test_a_page_of_help_lists_the_exit_codes_that_its_command_has(command, page, codes):
    lines = command(*page, "--help").out.partition("Exit codes:")[2].splitlines()
    found = [match[1] for line in lines if (match := re.match(r" +(\d+(?:, \d+)*)  \S", line))]
    assert found == codes


def test_the_fast_help_is_the_help(command):
    assert command("--help").out == help_text()


def test_nothing_is_listed_that_does_not_exist():
    for name in COMMANDS:
        importlib.import_module(f"ics_bench.cli.{name}")


def test_version(command):
    assert command("--version").out == f"ics-bench, version {__version__}\n"
