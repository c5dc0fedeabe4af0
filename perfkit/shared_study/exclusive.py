"""Create a file with its content in one step, unless it exists; all hosts agree on who did."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from perfkit.files import remove, scratch_path

NO_LINKS = frozenset((errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))
"""Errors of file systems without hard links."""


def create(path: Path, content: bytes) -> bool:
    """Create a file with its content, which is on disk when this returns.

    The file system decides who of several processes creates the file. A reader sees no file or all
    of its content.

    On a file system without hard links, an existing file is checked for first and the new one is
    renamed. Two processes that do so in the same moment both succeed, and the content of one stays.

    Parameters
    ----------
    path
        The file. Its content must differ between processes.
    content
        Content of the file.

    Returns
    -------
    bool
        Whether this call created the file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    scratch = scratch_path(path)
    try:
        with scratch.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(scratch, path)
        except FileExistsError:
            # A file server may have created the link, and its first answer was lost.
            return scratch.stat().st_nlink > 1
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if path.exists():
                return False
            scratch.rename(path)
        return True
    finally:
        remove(scratch)


def names_in(folder: Path) -> list[str]:
    """Names in a folder, in no order.

    A file is created and removed first: a client that has just changed a folder asks the server for
    its content, instead of answering from its cache.

    Raises
    ------
    OSError
        The folder cannot be read or written.
    """
    probe = scratch_path(folder / "probe")
    try:
        probe.touch()
    finally:
        remove(probe)
    return [path.name for path in folder.iterdir()]
