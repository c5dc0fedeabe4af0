"""Runs known-answer programs in this process and writes each answer as soon as it is there.

``python -m perfkit.diagnose.examination MODULE:ATTRIBUTE LIMIT_S CPUS [NAME ...]`` is the child of
:mod:`perfkit.diagnose.examiner`. It writes lines of JSON: first the version of jaxlib with the
names and questions of the programs, then one answer per program. A process that ends early has
therefore failed in the program after its last line. A program that hangs is ended by the alarm
signal, which acts inside native code, too.

The module needs nothing but JAX and NumPy, so that it can examine any environment.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from perfkit.diagnose.diagnosis import Answer

if TYPE_CHECKING:
    from perfkit.diagnose.known_answers import KnownAnswer

START_LIMIT_S = 120.0
"""Seconds in which the imports must be done; they need about two seconds."""


def main(arguments: Sequence[str]) -> None:
    """Examine this process.

    Parameters
    ----------
    arguments
        Where the programs are (``MODULE:ATTRIBUTE``), seconds after which a program is ended, CPUs
        with commas (none for all of them), and the names of the programs to run (none for all).
    """
    source, limit_s, cpus, *names = arguments
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpus:
        os.sched_setaffinity(0, map(int, cpus.split(",")))
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as lines:
        # What programs and compilers print must not end up between the lines.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        signal.setitimer(signal.ITIMER_REAL, START_LIMIT_S)
        programs = _programs(source)
        chosen = [programs[name] for name in names] or list(programs.values())
        _start_xla()
        questions = {program.name: program.question for program in chosen}
        lines.write(json.dumps({"jaxlib": version("jaxlib"), "questions": questions}) + "\n")
        for program in chosen:
            signal.setitimer(signal.ITIMER_REAL, float(limit_s))
            answer = dataclasses.replace(_answer_of(program), question=program.question)
            lines.write(json.dumps(answer.as_dict()) + "\n")
        signal.setitimer(signal.ITIMER_REAL, 0)


def _programs(source: str) -> dict[str, KnownAnswer]:
    module, _, attribute = source.partition(":")
    programs: Sequence[KnownAnswer] = getattr(importlib.import_module(module), attribute)
    return {program.name: program for program in programs}


def _start_xla() -> None:
    """Have XLA parse its flags: it ends the process over a bad one."""
    import jax

    jax.devices()


def _answer_of(program: KnownAnswer) -> Answer:
    try:
        return program.run()
    except Exception as error:  # Whatever a faulty compiler raises is its answer.
        first = (str(error).strip().splitlines() or ["without a message"])[0]
        return Answer(program.name, False, f"failed: {type(error).__name__}: {first}")


if __name__ == "__main__":
    main(sys.argv[1:])
