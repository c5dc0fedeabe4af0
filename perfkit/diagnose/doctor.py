"""Judges the installed jaxlib on this CPU under the flags in use: what is known, what is seen."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from perfkit.diagnose.advisories import Advisory, advisories_for
from perfkit.diagnose.known_answers import KNOWN_ANSWERS, Answer, KnownAnswer

DANGEROUS_TIME_LIMIT_S = 120.0
"""How long a program that may hang is waited for; it needs about three seconds."""


@dataclasses.dataclass(frozen=True)
class Notice:
    """An advisory that applies here.

    Attributes
    ----------
    advisory
        The known fault.
    seen
        True when its known-answer program failed here, False when it passed, None when no
        program shows it.
    """

    advisory: Advisory
    seen: bool | None

    @property
    def standing(self) -> str:
        """``seen here``, ``known, not seen here`` or ``known, not tried``."""
        return {True: "seen here", False: "known, not seen here", None: "known, not tried"}[
            self.seen
        ]


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What the doctor found.

    Attributes
    ----------
    jaxlib_version, xla_flags
        What was examined.
    answers
        Every known-answer program and its answer, in order.
    notices
        The advisories that apply to the version and flags.
    """

    jaxlib_version: str
    xla_flags: str
    answers: tuple[Answer, ...]
    notices: tuple[Notice, ...]

    @property
    def wrong(self) -> tuple[Answer, ...]:
        """The answers that are wrong."""
        return tuple(answer for answer in self.answers if not answer.right)

    @property
    def healthy(self) -> bool:
        """Whether every answer is right; what is only known does not make it ill."""
        return not self.wrong

    def as_dict(self) -> dict[str, object]:
        """The diagnosis as plain data for JSON."""
        return {
            "jaxlib": self.jaxlib_version,
            "xla_flags": self.xla_flags,
            "healthy": self.healthy,
            "answers": [answer.as_dict() for answer in self.answers],
            "advisories": [
                {
                    "fault": notice.advisory.fault,
                    "reference": notice.advisory.reference,
                    "standing": notice.standing,
                    "remedy": notice.advisory.remedy,
                }
                for notice in self.notices
            ],
        }


def examine(programs: Sequence[KnownAnswer] = KNOWN_ANSWERS) -> Diagnosis:
    """Run known-answer programs in this process and look up what is known of its versions.

    Parameters
    ----------
    programs
        What to run; a program that a faulty compiler may crash or hang in gets a process of
        its own with the same interpreter and environment.
    """
    answers = tuple(_in_own_process(one) if one.dangerous else one.run() for one in programs)
    jaxlib_version, flags = version("jaxlib"), os.environ.get("XLA_FLAGS", "")
    right = {answer.name: answer.right for answer in answers}
    advisories = advisories_for(jaxlib_version, flags)
    notices = tuple(Notice(advisory, _seen(advisory, right)) for advisory in advisories)
    return Diagnosis(jaxlib_version, flags, answers, notices)


def _seen(advisory: Advisory, right: dict[str, bool]) -> bool | None:
    known = right.get(advisory.shown_by)
    return None if known is None else not known


def _in_own_process(program: KnownAnswer) -> Answer:
    root = Path(__file__).parents[2]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "perfkit.diagnose.known_answers", program.name],
            env=environment,
            capture_output=True,
            text=True,
            timeout=DANGEROUS_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(program.name, False, f"no answer in {DANGEROUS_TIME_LIMIT_S:.0f} s")
    if done.returncode < 0:
        return Answer(program.name, False, f"crashed with {signal.Signals(-done.returncode).name}")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        return Answer(program.name, False, f"failed: {reason[0]}")
    return Answer(**json.loads(done.stdout.strip().splitlines()[-1]))
