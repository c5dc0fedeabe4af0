"""The ``perfkit`` command: finds the module of a subcommand and turns errors into exit codes."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import sys
from collections.abc import Callable

from perfkit.cli.completion import complete, offered, typed_words
from perfkit.errors import UserError, unknown_name
from perfkit.foreign.supervise import SignalCode, signals_for_main_thread
from perfkit.printable import printable
from perfkit.trial.interrupts import EXIT_CODE as INTERRUPTED
from perfkit.trial.interrupts import ignore_interrupts, install_interrupt_handlers
from perfkit.units import cut
from perfkit.version import __version__

COMMANDS = {
    "run": "run one guarded, measured prediction",
    "tune": "find the fastest configuration that gives the same answer",
    "recommend": "name the known preset nearest to this machine, without measuring",
    "knobs": "list what can be set, and what is worth trying on this machine",
    "sweep": "measure a full grid of sizes, CPUs and knob values",
    "status": "show what is queued, running, done or failed in a study that workers share",
    "cancel": "end the workers of a study, and keep what is finished",
    "profile": "show where time and memory go, and what limits each module",
    "guard": "check answers under several compiler settings, or locate the first NaN or infinity",
    "doctor": "examine the environment, jaxlib's answers on this CPU and the noise",
    "plan": "plan a queue of jobs on your machines: time, memory, price, schedule",
    "calibrate": "measure how fast this machine is relative to the one that laws were fitted on",
    "compare": "show what changed between two folders of records or two asv results",
    "report": "render the report of a folder of records, or of asv results",
    "exec": "run any command under a preset, the domain guard, or both",
    "preset": "show a preset in a form that works without perfkit",
    "completion": "print the code by which bash, zsh or fish completes perfkit's commands",
}
"""Name and summary of each subcommand."""

EXIT_CODES = """\
exit codes:
  0    success
  1    a run failed, an answer is wrong, something regressed, or nothing can be recommended
  2    bad input, or a file or a package that you can mend; one sentence says what
  130  ended by Ctrl-C or SIGTERM; all finished measurements are kept
'perfkit exec' ends with the exit code of its command."""
"""What a process of ``perfkit`` ends with."""

MODULES = {
    "compare": "compare.compare",
    "doctor": "doctor.doctor",
    "exec": "exec_command",
    "plan": "plan.plan",
}
"""Modules whose names differ from their subcommands'."""

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
"""Errors of disks, quotas and permissions, which no code of perfkit causes."""

LONGEST_SENTENCE = 4000
"""Most characters of the sentence of an error, which may quote a file."""

type Command = Callable[[list[str]], int]
"""The main function of a subcommand: takes its arguments, returns the exit code."""


def load_command(name: str) -> Command:
    """Import the main function of a subcommand.

    Parameters
    ----------
    name
        Name of the subcommand, a key of :data:`COMMANDS`.
    """
    with signals_for_main_thread():
        module = importlib.import_module(f"perfkit.cli.commands.{MODULES.get(name, name)}")
    command: Command = module.main
    return command


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="perfkit",
        description="Measure, guard, tune and plan AlphaFold 3 and GenCast runs on CPUs.",
        epilog=f"commands:\n{listed}\n\n'perfkit COMMAND --help' describes a command.\n\n"
        f"{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"perfkit {__version__}")
    command = parser.add_argument("command", metavar="COMMAND", help="one of the commands below")
    offered(command, COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str], load: Callable[[str], Command] = load_command) -> int:
    """Run ``perfkit``.

    Parameters
    ----------
    arguments
        Command line after the program's name.
    load
        Returns the main function of a subcommand.

    Returns
    -------
    int
        Exit code: 0 for success, 1 for a run that failed, 2 for an error that the user can fix,
        130 for Ctrl-C.
    """
    typed = typed_words()
    if typed is not None:
        # The parser of the command completes its own arguments, and ends the process.
        arguments = typed if typed[:1] and typed[0] in COMMANDS else []
    parser = _parser()
    if typed is not None and not arguments:
        complete(parser, words=1)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command not in COMMANDS:
            raise unknown_name("command", chosen.command, COMMANDS)
        return load(chosen.command)(chosen.arguments)
    except UserError as error:
        print(f"perfkit: {cut(str(error), LONGEST_SENTENCE)}", file=sys.stderr)
        return UserError.exit_code
    except BrokenPipeError:
        # The reader of the output has ended, e.g. `perfkit report | head`.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in FROM_OUTSIDE:
            raise
        file = printable(str(error.filename or "a file"))
        print(
            f"perfkit: {file} cannot be read or written ({error.strerror}); all files that were "
            "written before are kept",
            file=sys.stderr,
        )
        return UserError.exit_code
    except KeyboardInterrupt:
        print("perfkit: interrupted", file=sys.stderr)
        return INTERRUPTED


class PrintedWarnings(logging.Handler):
    """Prints each warning of perfkit's modules, such as one on a damaged file, on one line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message with its control characters escaped: it may hold names of files."""
        print(printable(record.getMessage()), file=sys.stderr)


def entry_point() -> None:
    """Run the console script and exit."""
    logging.getLogger("perfkit").addHandler(PrintedWarnings())
    try:
        # Finished measurements are kept, whether a person, a batch system or a terminal ends
        # perfkit.
        install_interrupt_handlers()
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        # A second Ctrl-C arrived while the first was handled.
        code = INTERRUPTED
    ignore_interrupts()
    if isinstance(code, SignalCode):
        # A foreign command was ended by this signal, and so has its caller to see it.
        code.end_this_process()
    sys.exit(code)
