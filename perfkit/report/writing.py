"""Write a page to disk, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from perfkit.errors import NotWrittenError
from perfkit.files import write_whole


def write_report(path: Path, html: str) -> None:
    """Write an HTML document, whole or not at all.

    If ``path`` is a symbolic link, its target is replaced. A device or a pipe is written to and
    never replaced by a file.

    Parameters
    ----------
    path
        File to write.
    html
        The document.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    # File names on the page may hold bytes that are not valid text.
    data = html.encode("utf-8", errors="replace")
    try:
        write_whole(path, data, "report")
    except NotWrittenError as error:
        raise NotWrittenError(f"{error}; choose another file or free some space") from error
    except ValueError as error:
        raise NotWrittenError(f"the report {path} cannot be written ({error})") from error
