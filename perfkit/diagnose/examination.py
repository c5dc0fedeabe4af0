"""Runs the known-answer programs in this process.

This module and :mod:`perfkit.diagnose.known_answers` need nothing but JAX and NumPy, so that they
can examine any environment. ``python -m perfkit.diagnose.examination`` writes the diagnosis as one
line of JSON; :func:`perfkit.diagnose.doctor.examine_under` starts it that way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version

from perfkit.diagnose.child_process import environment_with_perfkit, last_line
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.known_answers import KNOWN_ANSWERS, KnownAnswer

DANGEROUS_TIME_LIMIT_S = 120.0
"""Seconds after which a program that may hang is ended; it needs about three seconds."""


def run_examination(
    programs: Sequence[KnownAnswer] = KNOWN_ANSWERS, *, jaxlib_version: str | None = None
) -> Diagnosis:
    """Run known-answer programs in this process and look up the advisories for its jaxlib.

    Parameters
    ----------
    programs
        The programs. A program that may crash or hang under a faulty compiler runs in a process
        of its own, with the same interpreter and environment.
    jaxlib_version
        Version for which advisories are looked up; by default that of the installed jaxlib.
    """
    return Diagnosis(
        jaxlib_version or version("jaxlib"),
        os.environ.get("XLA_FLAGS", ""),
        tuple(
            answer_of_command(program.name, _command_of(program.name))
            if program.dangerous
            else program.run()
            for program in programs
        ),
    )


def answer_of_command(
    name: str, command: Sequence[str], time_limit_s: float = DANGEROUS_TIME_LIMIT_S
) -> Answer:
    """Run a command that prints an answer as JSON; a crash or hang is an answer, too.

    Parameters
    ----------
    name
        Name of the known-answer program that the command runs.
    command
        The program and its arguments; the answer is the last line of its output.
    time_limit_s
        Seconds after which the command is ended.
    """
    try:
        done = subprocess.run(
            command,
            env=environment_with_perfkit(os.environ),
            capture_output=True,
            text=True,
            timeout=time_limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(name, False, f"no answer in {time_limit_s:g} s")
    if done.returncode < 0:
        return Answer(name, False, f"crashed with {signal.Signals(-done.returncode).name}")
    if done.returncode:
        return Answer(name, False, f"failed: {last_line(done.stderr) or 'without a message'}")
    return Answer(**json.loads(last_line(done.stdout)))


def main() -> None:
    """Examine this process and write the diagnosis as one line of JSON."""
    sys.stdout.write(json.dumps(run_examination().as_dict()) + "\n")


def _command_of(name: str) -> list[str]:
    return [sys.executable, "-m", "perfkit.diagnose.known_answers", name]


if __name__ == "__main__":
    main()
