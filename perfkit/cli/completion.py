"""Completion of command lines for bash, zsh and fish, through argcomplete.

The shell runs ``perfkit`` with the variable ``_ARGCOMPLETE`` and the line that is being typed. The
parser of the subcommand in that line then prints what can follow, and the process ends.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence

from perfkit.errors import UserError

VARIABLE = "_ARGCOMPLETE"
"""Set by the shell: the number of words in front of the arguments."""

SHELLS = ("bash", "zsh", "fish")


def shell_code(shell: str) -> str:
    """Code that a shell evaluates to complete ``perfkit``.

    Raises
    ------
    UserError
        There is no completion for the shell.
    """
    from argcomplete.shell_integration import shellcode

    if shell not in SHELLS:
        raise UserError(f"there is no completion for {shell!r}: take one of {', '.join(SHELLS)}")
    code: str = shellcode(["perfkit"], shell=shell)
    return code


def offered(action: argparse.Action, values: Iterable[str]) -> None:
    """Offer values of an argument that takes other values, too."""
    found = tuple(values)

    def completer(**asked: object) -> Sequence[str]:
        return found

    vars(action)["completer"] = completer


def typed_words() -> list[str] | None:
    """Finished words after the program's name in the line being typed; None without a shell."""
    if VARIABLE not in os.environ:
        return None
    from argcomplete.lexers import split_line

    _, _, _, words, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
    # An option whose value is being typed has none yet.
    return list(words[1:-1] if words and words[-1].startswith("-") else words[1:])


def complete(parser: argparse.ArgumentParser, words: int) -> None:
    """Print completions and end the process if the shell asks for them.

    Parameters
    ----------
    parser
        Parser of the arguments that follow.
    words
        Number of words in front of them, such as 2 for ``perfkit run``.
    """
    if VARIABLE not in os.environ:
        return
    from argcomplete.finders import CompletionFinder

    # The finder parses the line itself, with this parser.
    os.environ[VARIABLE] = str(words)
    CompletionFinder()(parser)
