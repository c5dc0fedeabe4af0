"""Errors that perfkit raises."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

SHOWN_CHARACTERS = 120
"""Most characters of a name or value that a message quotes; those in a file may fill pages."""


class PerfkitError(Exception):
    """Base class of all errors that perfkit raises deliberately."""


class UserError(PerfkitError):
    """An error that the user can fix. The message is one sentence, and the exit code is 2."""

    exit_code = 2


class NotWrittenError(UserError):
    """A file cannot be written, for example because the disk is full."""


class MissingDependencyError(UserError):
    """An optional dependency is not installed. The message names the package to install."""


class ConfigurationRefusedError(PerfkitError):
    """The model cannot run under a configuration (trial outcome ``rejected``)."""


def quoted(text: str) -> str:
    """``repr`` of a name or value for a message, without its middle if it is long."""
    return reprlib.Repr(maxstring=SHOWN_CHARACTERS).repr(text)


def nearest(name: str, valid: Iterable[str], count: int = 1) -> list[str]:
    """The valid names most similar to ``name``, most similar first.

    Similarity is rapidfuzz's ratio over the whole name, which tolerates typing errors, plus its
    partial ratio, which tolerates abbreviations. It ignores case.

    Parameters
    ----------
    name
        Name that the user gave.
    valid
        Valid names. Equally similar names keep this order.
    count
        Most names to return.
    """
    # Programs of others import this module without perfkit's dependencies.
    from rapidfuzz import fuzz

    def similarity(candidate: str) -> float:
        given, other = name.casefold(), candidate.casefold()
        return fuzz.ratio(given, other) + fuzz.partial_ratio(given, other)

    return sorted(valid, key=similarity, reverse=True)[:count]


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Make the error for an unknown name, which suggests the most similar valid one.

    Parameters
    ----------
    kind
        Kind of name for the message, for example *knob*.
    name
        Name that the user gave.
    valid
        Valid names.
    """
    names = list(valid)
    close = nearest(name[:SHOWN_CHARACTERS], names)
    hint = f"; the nearest is {close[0]!r}" if close else ""
    return UserError(f"unknown {kind} {quoted(name)}{hint}")
