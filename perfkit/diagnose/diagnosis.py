"""The diagnosis of the doctor: answers of known-answer programs, and advisories that apply.

This module does not import JAX, so that a diagnosis can be read and shown anywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from perfkit.diagnose.advisories import Advisory, advisories_for


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer of a known-answer program, compared with the known one.

    Attributes
    ----------
    name
        Name of the program.
    right
        Whether every element equals the known one, within the program's tolerance.
    detail
        The first wrong element with both values, how the process ended, or a remark on behaviour
        that is allowed but worth knowing.
    question
        What the program computes and how its answer is known.
    """

    name: str
    right: bool
    detail: str = ""
    question: str = ""

    def as_dict(self) -> dict[str, str | bool]:
        """Return the answer as plain data for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Notice:
    """An advisory that applies to this version and these flags.

    Attributes
    ----------
    advisory
        The known fault.
    seen
        True if its known-answer program failed here, False if it passed, None if it was not run
        or no program shows the fault.
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
    """The result of an examination.

    Attributes
    ----------
    jaxlib_version, xla_flags
        The version of jaxlib, and the value of ``XLA_FLAGS``.
    answers
        The answer of every known-answer program, in order.
    """

    jaxlib_version: str
    xla_flags: str
    answers: tuple[Answer, ...]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The advisories that apply to the version and flags."""
        right = {answer.name: answer.right for answer in self.answers}
        return tuple(
            Notice(advisory, _seen(advisory, right))
            for advisory in advisories_for(self.jaxlib_version, self.xla_flags)
        )

    @property
    def wrong(self) -> tuple[Answer, ...]:
        """The answers that are wrong."""
        return tuple(answer for answer in self.answers if not answer.right)

    @property
    def wrong_names(self) -> tuple[str, ...]:
        """The names of the programs whose answers are wrong."""
        return tuple(answer.name for answer in self.wrong)

    @property
    def healthy(self) -> bool:
        """Whether every answer is right; an advisory alone does not count."""
        return not self.wrong

    def as_dict(self) -> dict[str, object]:
        """Return the diagnosis as plain data for JSON."""
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


def _seen(advisory: Advisory, right: Mapping[str, bool]) -> bool | None:
    known = right.get(advisory.shown_by)
    return None if known is None else not known
