"""``perfkit completion``: code by which a shell completes command lines of perfkit."""

from __future__ import annotations

import sys

from perfkit.cli.completion import SHELLS, shell_code
from perfkit.cli.workload_arguments import Parser


def main(arguments: list[str]) -> int:
    """Print the code."""
    parser = Parser(
        prog="perfkit completion",
        description="Print the code by which a shell completes commands, options and their values. "
        "Put the line of the example into the file that your shell reads when it starts.",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    sys.stdout.write(shell_code(parser.parse_args(arguments).shell) + "\n")
    return 0
