"""The ``perfkit`` command: finds the subcommand's module and turns errors into exit codes."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import sys

import perfkit
from perfkit.errors import UserError, unknown_name
from perfkit.printable import printable
from perfkit.trial.interrupts import EXIT_CODE as INTERRUPTED
from perfkit.trial.interrupts import ignore_interrupts, install_interrupt_handlers

COMMANDS = {
    "run": "one guarded, measured prediction",
    "tune": "find the fastest configuration that gives the same answer",
    "sweep": "measure a full grid of sizes, CPUs and knob values",
    "profile": "where time and memory go, and what limits each module",
    "guard": "where the first bad value of a prediction arises, and what the usual fixes do",
    "doctor": "check the installed jaxlib on this CPU against known answers",
    "plan": "what a queue of jobs takes on your machines: time, memory, price, schedule",
    "calibrate": "measure how fast this machine is beside the one that laws were fitted on",
    "compare": "what changed between two folders of records or two asv results",
    "report": "render the page of a folder of records again",
    "exec": "run any command under a preset",
}
"""Name and summary of each subcommand; ``perfkit.cli.commands.NAME`` has ``main(arguments)``."""

MODULES = {"exec": "exec_command"}
"""Modules whose name differs from the command's."""

FROM_OUTSIDE = frozenset(
    (
        errno.EACCES,
        errno.EDQUOT,
        errno.EIO,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    )
)
"""Errors of disks, quotas and permissions, which no code of ours causes."""


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="perfkit",
        description="Measure, guard, tune and plan AlphaFold 3 and GenCast runs on CPUs.",
        epilog=f"commands:\n{listed}\n\n'perfkit COMMAND --help' tells more about one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"perfkit {perfkit.__version__}")
    parser.add_argument("command", metavar="COMMAND", help="what to do")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> int:
    """Run ``perfkit`` with ``arguments``; returns the exit code.

    0 for success, 1 for a run that ended badly, 2 for what the user can mend, 130 for Ctrl-C.
    """
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command not in COMMANDS:
            raise unknown_name("command", chosen.command, COMMANDS)
        name = MODULES.get(chosen.command, chosen.command)
        module = importlib.import_module(f"perfkit.cli.commands.{name}")
        return int(module.main(chosen.arguments))
    except UserError as error:
        print(f"perfkit: {printable(str(error))}", file=sys.stderr)
        return UserError.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone, e.g. `perfkit report | head`.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in FROM_OUTSIDE:
            raise
        what = printable(str(error.filename or "a file"))
        print(
            f"perfkit: {what} cannot be read or written ({error.strerror}); what was written "
            "before is kept",
            file=sys.stderr,
        )
        return UserError.exit_code
    except KeyboardInterrupt:
        print("perfkit: interrupted", file=sys.stderr)
        return INTERRUPTED


class PrintedWarnings(logging.Handler):
    """Prints what perfkit's modules warn of, such as a damaged file, on one line each."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message; paths and names in it come from outside."""
        print(printable(record.getMessage()), file=sys.stderr)


def entry_point() -> None:
    """The console script."""
    logging.getLogger("perfkit").addHandler(PrintedWarnings())
    try:
        # What was measured is kept, however a person, a batch system or a terminal ends perfkit.
        install_interrupt_handlers()
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        # A second one came while the first was answered.
        code = INTERRUPTED
    ignore_interrupts()
    sys.exit(code)
