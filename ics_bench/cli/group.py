"""The command group: finds commands when they are called and turns every ending into an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from ics_bench import __version__
from ics_bench.cli.main import COMMANDS, help_text
from ics_bench.cli.text import printable
from ics_bench.core.errors import UsageError, unknown

COULD_NOT = 2
READER_GONE = 128 + signal.SIGPIPE


class Terminated(KeyboardInterrupt):
    """A signal that asks to end arrived; it unwinds the program as Ctrl-C does.

    Parameters
    ----------
    number : int
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def interrupted_code(stop: KeyboardInterrupt) -> int:
    """Exit code for an interruption: 128 and the number of the signal."""
    return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


class LazyGroup(click.Group):
    """A group whose commands are files, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"ics_bench.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the near commands where one is unknown."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the text that is also printed without importing click."""
        return help_text().rstrip("\n")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="ics-bench")
def group() -> None:
    """Benchmarks and regression tests for normalization and initialization in deep networks."""


def run_group(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code. Errors are one line on stderr.

    Only what nobody foresaw, in here or in a plug-in, comes with its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _terminate)
    try:
        # Not group.main: it makes 1 of a broken pipe, which here is an answer.
        with group.make_context("ics-bench", list(arguments)) as context:
            code = group.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except UsageError as error:
        return _could_not(str(error))
    except click.ClickException as error:
        return _could_not(_message(error))
    except KeyboardInterrupt as stop:
        click.echo("interrupted", err=True)
        return interrupted_code(stop)
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # Python flushes stdout once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Exception as error:
        traceback.print_exc()
        return _could_not(f"unexpected {type(error).__name__}: {error}; the lines above say where")
    return code if isinstance(code, int) else 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _could_not(message: str) -> int:
    click.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    return COULD_NOT


def _message(error: click.ClickException) -> str:
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else "ics-bench"
    return f"{error.format_message().rstrip('.')}; see {path} --help"
