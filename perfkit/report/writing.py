"""Writes a page so that a reader never sees half of it."""

from __future__ import annotations

from pathlib import Path

from perfkit.errors import NotWrittenError
from perfkit.files import write_whole


def write_report(path: Path, html: str) -> None:
    """Write the document, whole or not at all.

    Where ``path`` is a link, the file that it leads to is replaced. A device or a pipe is written
    to; it is never replaced by a file.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    # Names of files may hold bytes that are no text.
    data = html.encode("utf-8", errors="replace")
    try:
        write_whole(path, data, "report")
    except NotWrittenError as error:
        raise NotWrittenError(f"{error}; name another file or make room") from error
    except ValueError as error:
        raise NotWrittenError(f"the report {path} cannot be written ({error})") from error
