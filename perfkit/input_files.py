"""Read whole files that a user gives, up to a limit, and TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from perfkit.errors import UserError
from perfkit.files import reason_of
from perfkit.units import bytes_text, cut

MOST_BYTES = 64 << 20
"""Default limit of :func:`read_bytes`: a queue of 100,000 jobs takes some 10 MB. An endless file,
such as ``/dev/zero``, ends at the limit."""

MOST_BYTES_OF_A_QUEUE = 1 << 30
"""Limit for files with lines about each job, which programs write: plans, and accounts of Slurm."""

LONGEST_REASON = 200
"""Most characters of the reason why a file is not TOML, which may quote the file."""


def read_bytes(path: Path, what: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a file.

    Parameters
    ----------
    path
        The file.
    what
        Description of the file, for messages.
    most_bytes
        Size above which the file is refused.

    Raises
    ------
    UserError
        The file cannot be read, or is larger than ``most_bytes``.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be read ({reason_of(error)})") from error
    except ValueError as error:
        # The name holds a NUL character.
        raise UserError(f"the {what} {str(path)!r} cannot be read ({error})") from error
    if len(content) > most_bytes:
        raise UserError(
            f"the {what} {path} cannot be read (it is larger than {bytes_text(most_bytes)})"
        )
    return content


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file in UTF-8, with or without a byte-order mark.

    Parameters
    ----------
    path
        The file.
    what
        Description of the file, for messages.

    Raises
    ------
    UserError
        The file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(read_bytes(path, what).decode("utf-8-sig"))
    except RecursionError as error:
        raise UserError(f"the {what} {path} is not TOML: it is nested too deeply") from error
    except ValueError as error:
        # Raised for a bad encoding, for bad TOML and for numbers with thousands of digits.
        reason = cut(str(error), LONGEST_REASON)
        raise UserError(f"the {what} {path} is not TOML: {reason}") from error
