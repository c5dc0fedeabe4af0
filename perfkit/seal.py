"""Sealed files: a first line with the SHA-256 of all that follows, so that any damage is seen."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from perfkit.files import reason_of, replacing

MAGIC = b"perfkit sealed file 1 sha256 "
"""Begins the first line of a sealed file; the number is the format's version."""

_LINE_BYTES = len(MAGIC) + 64 + 1

BLOCK_BYTES = 4 << 20
MOST_THREADS = 8
"""Large files are digested in blocks, by so many threads at most: together they hold 32 MiB."""


class DamagedError(Exception):
    """A file is not what was written; the message completes *the file is ...*."""


def sealed(body: bytes) -> bytes:
    """``body`` after a line with its checksum."""
    return _line(hashlib.sha256(body).hexdigest()) + body


def unsealed(data: bytes) -> bytes:
    """The body of what :func:`sealed` returned.

    Raises
    ------
    DamagedError
        Any byte differs, or bytes are missing.
    """
    body = data[_LINE_BYTES:]
    _check(data[:_LINE_BYTES], hashlib.sha256(body).hexdigest())
    return body


def read_sealed(path: Path) -> bytes | None:
    """The body of a sealed file, None if there is no such file.

    Raises
    ------
    DamagedError
        The file cannot be read, or is not what was written.
    """
    try:
        return unsealed(path.read_bytes())
    except FileNotFoundError:
        # A link that leads nowhere is no file either, but takes the name of one.
        if path.is_symlink():
            raise DamagedError("a link that leads nowhere") from None
        return None
    except OSError as error:
        raise DamagedError(f"unreadable ({reason_of(error)})") from error


@contextlib.contextmanager
def replacing_sealed(path: Path, what: str) -> Iterator[BinaryIO]:
    """A stream to the body of a sealed file; see :func:`perfkit.files.replacing`.

    For bodies too large to be held in memory twice.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    with replacing(path, what) as stream:
        stream.write(_line("0" * 64))
        yield stream
        stream.seek(_LINE_BYTES)
        digest = _digest_of_rest(stream)
        stream.seek(0)
        stream.write(_line(digest))


@contextlib.contextmanager
def opened_sealed(path: Path) -> Iterator[BinaryIO]:
    """A stream at the beginning of the body of a sealed file, which has been checked.

    Raises
    ------
    DamagedError
        The file is missing, cannot be read, or is not what was written.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DamagedError(f"unreadable ({reason_of(error)})") from error
    with stream:
        try:
            line = stream.read(_LINE_BYTES)
            _check(line, _digest_of_rest(stream))
            stream.seek(len(line))
        except OSError as error:
            raise DamagedError(f"unreadable ({reason_of(error)})") from error
        yield stream


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 over the SHA-256 of each block of a file.

    Blocks are read and digested side by side: a gigabyte takes about a second of CPU time.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as stream:
        descriptor, size = stream.fileno(), os.fstat(stream.fileno()).st_size

        def block(start: int) -> bytes:
            return hashlib.sha256(os.pread(descriptor, BLOCK_BYTES, start)).digest()

        with ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
            blocks = b"".join(pool.map(block, range(0, size, BLOCK_BYTES)))
    return hashlib.sha256(blocks).hexdigest()


def _line(digest: str) -> bytes:
    return MAGIC + digest.encode() + b"\n"


def _check(line: bytes, digest: str) -> None:
    if not line:
        raise DamagedError("empty")
    if not line.startswith(MAGIC):
        raise DamagedError("not of the format that this version of perfkit writes")
    if line != _line(digest):
        raise DamagedError("damaged: its checksum differs")


def _digest_of_rest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
