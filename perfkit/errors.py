"""The one family of errors: what a user can cause, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import fuzz


class PerfkitError(Exception):
    """Base of everything perfkit raises on purpose."""


class UserError(PerfkitError):
    """Something a user can mend; the message is one clear sentence, the exit code 2."""

    exit_code = 2


class NotWrittenError(UserError):
    """A file cannot be written: the disk is full, or a folder refuses it."""


class MissingDependencyError(UserError):
    """An optional dependency is not installed; the message says what to install."""


class ConfigurationRefusedError(PerfkitError):
    """The model cannot run under the given configuration (trial outcome ``rejected``)."""


def nearest(name: str, valid: Iterable[str], count: int = 1) -> list[str]:
    """The valid names most like ``name``, best first.

    Likeness is rapidfuzz's ratio over the whole name, which forgives typing errors, plus that of
    the best matching stretch, which forgives abbreviations; case does not count. Ties keep the
    order of ``valid``.
    """

    def likeness(candidate: str) -> float:
        one, other = name.casefold(), candidate.casefold()
        return fuzz.ratio(one, other) + fuzz.partial_ratio(one, other)

    return sorted(valid, key=likeness, reverse=True)[:count]


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that is not one of ``valid``, naming the nearest that is."""
    names = list(valid)
    close = nearest(name, names)
    hint = f"; the nearest is {close[0]!r}" if close else ""
    return UserError(f"unknown {kind} {name!r}{hint}")
