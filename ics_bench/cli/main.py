"""Entry point. Asking for help imports nothing but this file, so that it answers at once."""

from __future__ import annotations

import sys

COMMANDS = {
    "list": "What can be measured, and with what.",
    "run": "Measure workloads.",
    "show": "Print a run's tables.",
    "claims": "Judge the claims: do they hold?",
    "gate": "Compare two commits, measured now.",
    "compare": "Two stored results: what changed?",
    "report": "Write a run's HTML report.",
    "export": "Write a run's measurements to one file.",
    "doctor": "What this machine can measure, and what is missing.",
}
"""Every command, a file each beside this one, with its line in the help."""

EXIT_CODES = {
    "0": "yes, or done",
    "1": "the answer is no: a regression, or a verdict that differs from the registered one",
    "2": "could not: bad usage, a missing part, a measurement that failed",
    "3": "inconclusive",
    "129, 130, 143": "interrupted by SIGHUP, Ctrl-C, SIGTERM; a run keeps what was measured",
    "141": "whoever read the output went away",
}


def exit_codes(*codes: str) -> str:
    """Describe these exit codes for a page of help, or all of them."""
    lines = (f"  {code}  {EXIT_CODES[code]}\n" for code in codes or EXIT_CODES)
    return f"Exit codes:\n{''.join(lines)}"


def help_text() -> str:
    """Help of the command as a whole."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"""\
Usage: ics-bench [OPTIONS] COMMAND [ARGS]...

  Benchmarks and regression tests for normalization and initialization in deep
  networks.

Options:
  --version  Show the version and exit.
  --help     Show this message and exit.

Commands:
{commands}

{exit_codes()}"""


def main() -> None:
    """Run the command line and exit."""
    if sys.argv[1:] in ([], ["--help"]):
        sys.stdout.write(help_text())
        return
    from ics_bench.cli.group import run_group

    sys.exit(run_group(sys.argv[1:]))


if __name__ == "__main__":
    main()
