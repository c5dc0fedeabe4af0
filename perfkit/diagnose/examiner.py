"""Has known-answer programs run in child processes: a crash or a hang is an answer, too."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from perfkit.diagnose.child_process import last_line
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.examination import START_LIMIT_S
from perfkit.errors import UserError
from perfkit.knobs.environment import PLATFORM
from perfkit.lifeline import run_tied

PROGRAMS = "perfkit.diagnose.known_answers:KNOWN_ANSWERS"
"""Module and attribute of the known-answer programs."""

TIME_LIMIT_S = 120.0
"""Seconds after which a program is ended; each needs about a second."""

XLA_FLAGS = "XLA_FLAGS"

PACKAGE = Path(__file__).parents[1]
"""Folder of this perfkit."""

_FATAL = re.compile(r"^F\d{4} \S+ +\d+ \S+\] (.*)$", re.MULTILINE)
"""A fatal message in XLA's log."""


@dataclasses.dataclass(frozen=True)
class _Started:
    """The first line of a process: version of jaxlib, and question by name of each program."""

    jaxlib: str
    questions: dict[str, str]


class NotStartedError(UserError):
    """The process has ended before its first program: XLA refuses its flags, or JAX is broken."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """The process in which programs run.

    Attributes
    ----------
    environment
        Its environment variables.
    python
        Its Python.
    cpus
        CPUs that it may use; None for all of those of this process.
    programs
        Module and attribute of a sequence of
        :class:`~perfkit.diagnose.known_answers.KnownAnswer`, as ``MODULE:ATTRIBUTE``.
    time_limit_s
        Seconds after which a program is ended.
    """

    environment: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(os.environ))
    python: Path = Path(sys.executable)
    cpus: tuple[int, ...] | None = None
    programs: str = PROGRAMS
    time_limit_s: float = TIME_LIMIT_S

    @property
    def xla_flags(self) -> str:
        """The value of ``XLA_FLAGS``; empty if it is not set."""
        return self.environment.get(XLA_FLAGS, "")

    def with_flags(self, flags: str) -> Setup:
        """The same setup with further XLA flags, which override earlier ones."""
        joined = f"{self.xla_flags} {flags}".strip()
        return dataclasses.replace(self, environment={**self.environment, XLA_FLAGS: joined})


def examine_setup(setup: Setup, names: Sequence[str] = ()) -> Diagnosis:
    """Run known-answer programs in a process of their own.

    When a program ends the process, the programs after it run in a new one.

    Parameters
    ----------
    setup
        The process.
    names
        Names of the programs to run; all of them by default.

    Raises
    ------
    NotStartedError
        The process ends before its first program.
    """
    answers: list[Answer] = []
    questions: dict[str, str] = {}
    left = list(names)
    jaxlib = ""
    while not questions or left:
        started, got, end = _run(setup, left)
        jaxlib = started.jaxlib
        if not questions:
            questions = started.questions
            left = list(questions)
        answers += got
        del left[: len(got)]
        if left:
            fatal = left.pop(0)
            answers.append(Answer(fatal, False, end, questions[fatal]))
    return Diagnosis(jaxlib, setup.xla_flags, tuple(answers))


def _run(setup: Setup, names: Sequence[str]) -> tuple[_Started, list[Answer], str]:
    """Run programs until the process ends: what it started with, its answers, and its end."""
    with TemporaryDirectory(prefix="perfkit-examination-") as folder:
        # Another Python must find perfkit, but none of the packages that are installed with it.
        Path(folder, "perfkit").symlink_to(PACKAGE)
        paths = [folder, *filter(None, [setup.environment.get("PYTHONPATH")])]
        cpus = "" if setup.cpus is None else ",".join(map(str, setup.cpus))
        command = [str(setup.python), "-m", "perfkit.diagnose.examination"]
        done = run_tied(
            [*command, setup.programs, f"{setup.time_limit_s}", cpus, *names],
            env={**setup.environment, **PLATFORM, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            errors="replace",
        )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if not lines:
        raise NotStartedError(_refusal(setup, done))
    started = _Started(**lines[0])
    return started, [Answer(**line) for line in lines[1:]], _end(setup, done)


def _refusal(setup: Setup, done: subprocess.CompletedProcess[str]) -> str:
    flags = f" under XLA_FLAGS={setup.xla_flags!r}" if setup.xla_flags else ""
    fatal = _FATAL.search(done.stderr)
    if done.returncode == -signal.SIGALRM:
        reason = f"its imports take more than {START_LIMIT_S:g} s"
    else:
        reason = _end(setup, done) if fatal is None else fatal[1].strip()
    return f"XLA does not start{flags} with {setup.python}: {reason}"


def _end(setup: Setup, done: subprocess.CompletedProcess[str]) -> str:
    code = done.returncode
    if code == -signal.SIGALRM:
        return f"no answer in {setup.time_limit_s:g} s"
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}"
    return f"ended with code {code}: {last_line(done.stderr) or 'without a message'}"
