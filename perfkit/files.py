"""Write files atomically, and compute short digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from perfkit.errors import NotWrittenError

SCRATCH_PREFIX, SCRATCH_SUFFIX = ".perfkit-", ".part"
"""A scratch file is called ``.perfkit-PID-TOKEN.part``, which is short even if the file's name is
long."""

DIGEST_DIGITS = 12
"""Hexadecimal digits of a short digest. With 48 bits, any two of a million digests are equal with a
probability of about 1/600."""

_ERROR_NUMBER = re.compile(r"errno = (\d+)")

type JsonData = str | int | float | bool | Sequence[JsonData] | Mapping[str, JsonData] | None
"""A value that JSON can represent."""


def short_digest(content: JsonData, digits: int = DIGEST_DIGITS) -> str:
    """The first hexadecimal digits of a SHA-256 digest.

    Parameters
    ----------
    content
        Content to digest. Text is encoded as UTF-8, any other value as JSON with sorted keys.
    digits
        Number of digits, at most 64.
    """
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def reason_of(error: OSError) -> str:
    """Reason of a failed system call on one line, in the words of the operating system."""
    if error.strerror is not None and "\n" not in error.strerror:
        return error.strerror
    # HDF5 reports the error number of the system within a text of several lines.
    named = _ERROR_NUMBER.search(str(error))
    return os.strerror(int(named[1])) if named else " ".join(str(error).split())


def ensure_room(folder: Path, needed_bytes: int) -> None:
    """Check free disk space for a library that does not survive a full disk, such as HDF5.

    HDF5 ends with SIGSEGV if the disk is full. Quotas are not checked.

    Parameters
    ----------
    folder
        Folder to write to.
    needed_bytes
        Space needed, in bytes.

    Raises
    ------
    OSError
        The file system of ``folder`` has less free space (``ENOSPC``).
    """
    if shutil.disk_usage(folder).free < needed_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content. Errors are ignored."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def scratch_path(path: Path) -> Path:
    """A unique path of a scratch file in the folder of ``path``."""
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f"{SCRATCH_PREFIX}{token}{SCRATCH_SUFFIX}")


def make_executable(path: Path) -> None:
    """Let everybody who may read a script run it, as ``chmod +x`` does under the user's umask.

    Raises
    ------
    OSError
        The mode cannot be changed.
    """
    mode = path.stat().st_mode & 0o777
    path.chmod(mode | (mode & 0o444) >> 2)


@contextlib.contextmanager
def replacing(path: Path, description: str) -> Iterator[BinaryIO]:
    """Write a file atomically: readers see the old content or all of the new content.

    The stream writes to a scratch file in the same folder. If the block ends without an error, the
    scratch file replaces ``path``; otherwise it is removed. The content is flushed to disk before
    the replacement, so a full disk or an exceeded quota is an error and never leaves an empty file.

    Parameters
    ----------
    path
        File to create or replace. Missing folders are created. The target of a symbolic link is
        replaced, and the link stays.
    description
        Kind of file for the message, for example *report*.

    Yields
    ------
    BinaryIO
        The scratch file, open for writing and reading.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    scratch: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = scratch_path(target)
        with scratch.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(target)
    except OSError as error:
        raise _not_written(description, path, error) from error
    finally:
        # The scratch file no longer exists after the replacement.
        if scratch is not None:
            remove(scratch)


def write_whole(path: Path, content: str | bytes, description: str) -> None:
    """Write a file atomically in one call; see :func:`replacing`.

    A device or a pipe, such as ``/dev/stdout``, is written to and not replaced.

    Parameters
    ----------
    path
        File to create or replace. Missing folders are created.
    content
        Content of the file. Text is encoded as UTF-8; a lone surrogate, as in a file name that is
        not UTF-8, is written as its escape.
    description
        Kind of file for the message, for example *report*.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        is_device = path.exists() and not path.is_file() and not path.is_dir()
        if is_device:
            path.write_bytes(data)
    except OSError as error:
        raise _not_written(description, path, error) from error
    if not is_device:
        with replacing(path, description) as stream:
            stream.write(data)


def _not_written(description: str, path: Path, error: OSError) -> NotWrittenError:
    # If a file occupies the name of a folder, creating the folder fails with "File exists".
    occupied = isinstance(error, FileExistsError)
    reason = os.strerror(errno.ENOTDIR) if occupied else reason_of(error)
    return NotWrittenError(f"the {description} {path} cannot be written ({reason})")
