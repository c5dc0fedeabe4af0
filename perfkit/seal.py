"""Sealed files: the first line holds the SHA-256 of the rest, so that any damage is detected."""

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
"""Beginning of the first line of a sealed file; the number is the version of the format."""

_LINE_BYTES = len(MAGIC) + 64 + 1

BLOCK_BYTES = 4 << 20
"""Size of the blocks in which a large file is digested."""

MOST_THREADS = 8
"""Most threads that digest blocks. Together they hold 32 MiB."""


class DamagedError(Exception):
    """A file is damaged. The message completes the sentence *the file is ...*."""


def sealed(body: bytes) -> bytes:
    """Prepend a line with its checksum to ``body``."""
    return _line(hashlib.sha256(body).hexdigest()) + body


def unsealed(data: bytes) -> bytes:
    """Check a sealed file and return its body.

    Parameters
    ----------
    data
        Content of the file, as made by :func:`sealed`.

    Raises
    ------
    DamagedError
        A byte differs, is missing or is added.
    """
    body = data[_LINE_BYTES:]
    _check(data[:_LINE_BYTES], hashlib.sha256(body).hexdigest())
    return body


def read_sealed(path: Path) -> bytes | None:
    """Read and check a sealed file.

    Returns
    -------
    bytes or None
        The body; None if the file does not exist.

    Raises
    ------
    DamagedError
        The file cannot be read, or its content has changed.
    """
    try:
        return unsealed(path.read_bytes())
    except FileNotFoundError:
        # A broken link does not exist as a file either, but it occupies the name.
        if path.is_symlink():
            raise DamagedError("a broken link") from None
        return None
    except OSError as error:
        raise DamagedError(f"unreadable ({reason_of(error)})") from error


@contextlib.contextmanager
def replacing_sealed(path: Path, description: str) -> Iterator[BinaryIO]:
    """Write a sealed file through a stream to its body; see :func:`perfkit.files.replacing`.

    This serves bodies that are too large to hold in memory twice.

    Parameters
    ----------
    path
        File to create or replace.
    description
        Kind of file, for the message.

    Yields
    ------
    BinaryIO
        Stream at the beginning of the body.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    with replacing(path, description) as stream:
        stream.write(_line("0" * 64))
        yield stream
        stream.seek(_LINE_BYTES)
        digest = _digest_of_rest(stream)
        stream.seek(0)
        stream.write(_line(digest))


@contextlib.contextmanager
def opened_sealed(path: Path) -> Iterator[BinaryIO]:
    """Check a sealed file and open it.

    Yields
    ------
    BinaryIO
        Stream at the beginning of the body.

    Raises
    ------
    DamagedError
        The file is missing, it cannot be read, or its content has changed.
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


def file_digest(path: Path, block_bytes: int = BLOCK_BYTES) -> str:
    """Hexadecimal SHA-256 over the SHA-256 digests of the blocks of a file.

    Several threads read and digest the blocks: a gigabyte takes about a second of CPU time.

    Parameters
    ----------
    path
        The file.
    block_bytes
        Size of a block in bytes. Another size gives another digest.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as stream:
        descriptor, size = stream.fileno(), os.fstat(stream.fileno()).st_size

        def block(start: int) -> bytes:
            return hashlib.sha256(os.pread(descriptor, block_bytes, start)).digest()

        starts = range(0, size, block_bytes)
        try:
            with ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
                blocks = b"".join(pool.map(block, starts))
        except RuntimeError:
            # Functions that Python calls at exit can start no threads.
            blocks = b"".join(map(block, starts))
    return hashlib.sha256(blocks).hexdigest()


def _line(digest: str) -> bytes:
    return MAGIC + digest.encode() + b"\n"


def _check(line: bytes, digest: str) -> None:
    if not line:
        raise DamagedError("empty")
    if not line.startswith(MAGIC):
        raise DamagedError("not in the format of this version of perfkit")
    if line != _line(digest):
        raise DamagedError("damaged: its checksum differs")


def _digest_of_rest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
