"""What is known of the jaxlib that trials run on: how many of its answers are wrong on this CPU.

:mod:`perfkit.diagnose.standing` examines a jaxlib before the first trial and stores its standing
in the cache. A trial only reads it, for its record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from perfkit.builds import installed_build
from perfkit.cache import Entry, load_value, store_value
from perfkit.errors import UserError
from perfkit.files import JsonData
from perfkit.records.machine import cpu_identity

FORMAT_VERSION = 1
"""Raised whenever the known-answer programs or their reading change."""

CHECK_VARIABLE = "PERFKIT_KNOWN_ANSWERS"
"""Environment variable; ``off`` skips the check of jaxlib's answers."""


@dataclass(frozen=True)
class Standing:
    """The answers of one build of jaxlib on this CPU.

    Attributes
    ----------
    jaxlib
        Version of jaxlib.
    xla_flags
        Value of ``XLA_FLAGS``.
    programs
        Number of known-answer programs.
    wrong
        Names of those with a wrong answer.
    """

    jaxlib: str
    xla_flags: str
    programs: int
    wrong: tuple[str, ...]

    @property
    def warning(self) -> str | None:
        """One sentence on the wrong answers; None if there are none."""
        if not self.wrong:
            return None
        flags = f" under XLA_FLAGS={self.xla_flags!r}" if self.xla_flags else ""
        return (
            f"jaxlib {self.jaxlib} gives {len(self.wrong)} of {self.programs} known answers wrong "
            f"on this CPU{flags} ({', '.join(self.wrong)}): perfkit doctor shows what mends them"
        )


def check_is_off(variables: Mapping[str, str] | None = None) -> bool:
    """Whether the user has switched the check off.

    Parameters
    ----------
    variables
        Environment variables; those of this process by default.
    """
    given = os.environ if variables is None else variables
    return given.get(CHECK_VARIABLE, "").lower() in ("off", "0", "false", "no")


def known_standing(xla_flags: str, build: str | None = None) -> Standing | None:
    """The standing in the cache; None if this jaxlib was not examined under these flags.

    A cache folder that cannot be read or created holds no standing.

    Parameters
    ----------
    xla_flags
        Value of ``XLA_FLAGS``.
    build
        Build of jaxlib, see :func:`perfkit.builds.installed_build`; the installed one by default.
    """
    entry = _entry(xla_flags, build)
    if entry is None:
        return None
    try:
        return _standing(load_value(entry))
    except UserError:
        return None


def store_standing(standing: Standing, build: str | None = None) -> None:
    """Store a standing in the cache.

    Parameters
    ----------
    standing
        The standing.
    build
        Build of jaxlib; the installed one by default.

    Raises
    ------
    UserError
        The cache cannot be written.
    """
    entry = _entry(standing.xla_flags, build)
    if entry is not None:
        store_value(
            entry,
            {
                "jaxlib": standing.jaxlib,
                "xla_flags": standing.xla_flags,
                "programs": standing.programs,
                "wrong": list(standing.wrong),
            },
        )


def standing_notices(xla_flags: str, build: str | None = None) -> tuple[str, ...]:
    """What the record of a trial states of its jaxlib, from the cache: at most one sentence.

    Flags that were not examined themselves, such as those of a candidate in a search, have the
    sentence on jaxlib without flags.

    Parameters
    ----------
    xla_flags, build
        As for :func:`known_standing`.
    """
    if check_is_off():
        return ()
    own = known_standing(xla_flags, build)
    standing = own if own is not None or not xla_flags else known_standing("", build)
    warning = None if standing is None else standing.warning
    return () if warning is None else (warning,)


def _entry(xla_flags: str, build: str | None) -> Entry | None:
    """The entry of the cache; None if jaxlib is not installed."""
    jaxlib = installed_build("jaxlib") if build is None else build
    if jaxlib is None:
        return None
    depends_on: dict[str, JsonData] = {
        "format": FORMAT_VERSION,
        "jaxlib": jaxlib,
        "xla_flags": xla_flags,
        "cpu": _this_cpu(),
    }
    return Entry("known-answers", "verdict on the answers of jaxlib", depends_on)


@cache
def _this_cpu() -> dict[str, JsonData]:
    """The identity of the CPU, which the kernel takes long to describe on large machines."""
    return cpu_identity()


def _standing(value: JsonData) -> Standing | None:
    """The standing that a value describes; None if it describes none."""
    match value:
        case {
            "jaxlib": str(jaxlib),
            "xla_flags": str(xla_flags),
            "programs": int(programs),
            "wrong": list(wrong),
        }:
            return Standing(jaxlib, xla_flags, programs, tuple(map(str, wrong)))
    return None
