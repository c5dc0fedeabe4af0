"""Files and digests: whole or not at all, and short enough to read."""

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
"""A scratch file is ``.perfkit-PID-TOKEN.part``: short, however long the name of the file is."""

DIGEST_DIGITS = 12
"""Hexadecimal digits of a short digest: 48 bits, so that a million entries collide by a chance of
about one in 600."""

_ERROR_NUMBER = re.compile(r"errno = (\d+)")

type Plain = str | int | float | bool | Sequence[Plain] | Mapping[str, Plain] | None
"""What JSON can hold."""


def short_digest(content: Plain, digits: int = DIGEST_DIGITS) -> str:
    """The first hexadecimal digits of a SHA-256.

    Parameters
    ----------
    content
        Text is digested as UTF-8, anything else as its JSON with sorted keys.
    digits
        How many digits to keep.
    """
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def reason_of(error: OSError) -> str:
    """Why a system call failed, in the system's words."""
    if error.strerror is not None and "\n" not in error.strerror:
        return error.strerror
    # HDF5 puts the system's error number into a text of several lines.
    named = _ERROR_NUMBER.search(str(error))
    return os.strerror(int(named[1])) if named else " ".join(str(error).split())


def ensure_room(folder: Path, needed_bytes: int) -> None:
    """Fail before a library writes that cannot stand a full disk (HDF5 ends in SIGSEGV).

    Raises
    ------
    OSError
        With ``ENOSPC``: the file system of ``folder`` has less room. Quotas are not seen.
    """
    if shutil.disk_usage(folder).free < needed_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, as far as that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def scratch_beside(path: Path) -> Path:
    """A name in the folder of ``path`` that no other process or call uses."""
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f"{SCRATCH_PREFIX}{token}{SCRATCH_SUFFIX}")


@contextlib.contextmanager
def replacing(path: Path, what: str) -> Iterator[BinaryIO]:
    """Write a file so that readers see the old content or all of the new, never half of it.

    The stream writes to a scratch file in the same folder, which replaces ``path`` when the block
    ends without an error and is removed otherwise. The content is on disk before it replaces
    anything: a full disk or an exceeded quota is an error here, not an empty file later.

    Parameters
    ----------
    path
        Created or replaced; its folder is created if need be. A symbolic link stays one.
    what
        What the file is, for the message.

    Yields
    ------
    BinaryIO
        The scratch file, to write and read.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    scratch: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = scratch_beside(target)
        with scratch.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(target)
    except OSError as error:
        raise _not_written(what, path, error) from error
    finally:
        # After the replacement there is nothing left to remove.
        if scratch is not None:
            remove(scratch)


def write_whole(path: Path, content: str | bytes, what: str) -> None:
    """Write a file in one piece; see :func:`replacing`.

    A device or a pipe, such as ``/dev/stdout``, is written to and not replaced.

    Parameters
    ----------
    path
        Created or replaced; its folder is created if need be.
    content
        Text is written as UTF-8; a lone surrogate, as in a file name that is not UTF-8, as its
        escape.
    what
        What the file is, for the message.

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
        raise _not_written(what, path, error) from error
    if not is_device:
        with replacing(path, what) as stream:
            stream.write(data)


def _not_written(what: str, path: Path, error: OSError) -> NotWrittenError:
    # Where a file has the place of a folder, making the folder says that it exists.
    in_the_way = isinstance(error, FileExistsError)
    reason = os.strerror(errno.ENOTDIR) if in_the_way else reason_of(error)
    return NotWrittenError(f"the {what} {path} cannot be written ({reason})")
