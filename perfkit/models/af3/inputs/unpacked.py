"""Sizes of the files that an input refers to; upstream reads them whole, and unpacks them."""

from __future__ import annotations

import contextlib
import gzip
import lzma
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 30
"""Largest text of an input, or of a file that it refers to. An MSA of 16,384 sequences of 5,000
residues has 82 MB."""

_BLOCK_BYTES = 1 << 20


def unpacked_bytes(path: Path, most_bytes: int = MOST_BYTES) -> int:
    """The size of a file after upstream has unpacked it (gzip, xz or zstd, by its first bytes).

    A packed file of some kilobytes may hold gigabytes, so it is unpacked here in small blocks.

    Parameters
    ----------
    path
        The file.
    most_bytes
        Size above which counting ends.

    Returns
    -------
    int
        The size in bytes; any number above ``most_bytes`` for a larger file. Of a damaged file,
        which upstream refuses, the part before the damage counts.
    """
    import zstandard

    openers: dict[bytes, Any] = {
        b"\x1f\x8b": gzip.open,
        b"\xfd7zXZ\x00": lzma.open,
        b"\x28\xb5\x2f\xfd": zstandard.open,
    }
    with path.open("rb") as stream:
        head = stream.read(6)
    unpack = next((unpack for magic, unpack in openers.items() if head.startswith(magic)), None)
    if unpack is None:
        return path.stat().st_size
    size = 0
    with (
        contextlib.suppress(OSError, EOFError, lzma.LZMAError, zstandard.ZstdError),
        unpack(path, "rb") as stream,
    ):
        while size <= most_bytes and (block := stream.read(_BLOCK_BYTES)):
            size += len(block)
    return size
