"""``python -m perfkit.cluster.task LIST``: run the command of one task of a Slurm array.

The list is JSON and its words are passed to ``exec`` unchanged, so that no shell interprets the
name of a job, an input or a folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from perfkit.cluster import bind
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.printable import printable

TASK_VARIABLE = "SLURM_ARRAY_TASK_ID"
CPUS_VARIABLE = "SLURM_CPUS_PER_TASK"

LONGEST_NUMBER = 9
"""Largest number of digits of a number from Slurm."""


def write_list(path: Path, commands: Sequence[Sequence[str]]) -> None:
    """Write the commands of an array as JSON, one command per line.

    Parameters
    ----------
    path
        The file.
    commands
        Words of each command.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    # Escapes to ASCII also preserve paths whose bytes are not UTF-8.
    lines = ",\n".join(json.dumps(list(words)) for words in commands)
    write_whole(path, f"[\n{lines}\n]\n", "task list")


def command_of(path: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the words of this task's command.

    Parameters
    ----------
    path
        List of commands, written by :func:`write_list`.
    environment
        Environment variables with the task's number in the array, from 1.

    Raises
    ------
    UserError
        The list cannot be read, or has no command of that number.
    """
    number = _number(environment, TASK_VARIABLE)
    try:
        commands = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"the task list {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"the task list {path} is not JSON: submit the plan again") from error
    if not isinstance(commands, list) or number > len(commands):
        raise UserError(f"{path} has no task {number}: {TASK_VARIABLE} is out of its range")
    words = commands[number - 1]
    if not (isinstance(words, list) and words and all(isinstance(each, str) for each in words)):
        raise UserError(f"task {number} of {path} is not a command: expected a list of words")
    return words


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    plain = text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    if not plain or int(text) < 1:
        raise UserError(f"{name} is {text[:40]!r}, but Slurm sets it to 1 or more in an array")
    return int(text)


def main(arguments: list[str]) -> NoReturn:
    """Run the task's command on as many CPUs as Slurm gives the task."""
    if len(arguments) != 1:
        raise UserError("usage: python -m perfkit.cluster.task LIST")
    words = command_of(Path(arguments[0]), os.environ)
    bind.exec_on_cpus(words, _number(os.environ, CPUS_VARIABLE))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"perfkit: {printable(str(error))}", file=sys.stderr)
        sys.exit(UserError.exit_code)
