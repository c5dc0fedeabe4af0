"""Files that plans leave: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from perfkit.errors import UserError


def write_whole(path: Path, text: str, what: str) -> None:
    """Write a file so that a reader never sees half of it.

    Parameters
    ----------
    path
        Replaced if it exists; its folder is made if need be.
    what
        What it is, for the message.

    Raises
    ------
    UserError
        It cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be written ({error.strerror})") from error
