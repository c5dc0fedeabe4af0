"""Writes a page so that a reader never sees half of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from perfkit.errors import UserError


def write_report(path: Path, html: str) -> None:
    """Write the document, whole or not at all.

    Where ``path`` is a link, the file that it leads to is replaced. A device or a pipe is written
    to; it is never replaced by a file.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    # Names of files may hold bytes that are no text.
    data = html.encode("utf-8", errors="replace")
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)
        else:
            _replace(target, data)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            f"the report {path} cannot be written ({reason}); name another file or make room"
        ) from error


def _replace(target: Path, data: bytes) -> None:
    """Write beside ``target`` and rename; nothing is left behind when that fails."""
    scratch = target.with_name(f".perfkit-page-{os.getpid()}")
    try:
        scratch.write_bytes(data)
        scratch.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
