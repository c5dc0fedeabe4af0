"""Cache entries: keyed by what they depend on, checked when they are read, rebuilt when damaged.

A sealed file (:mod:`perfkit.seal`) describes an entry: JSON with what the entry depends on and its
value. A large value lies in a second file, whose size and SHA-256 are in the description. The name
of the second file holds its digest, so that two processes that build one entry at once never mix
their halves. No locks are needed, which lab file systems handle badly.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from perfkit.errors import NotWrittenError
from perfkit.files import (
    SCRATCH_PREFIX,
    SCRATCH_SUFFIX,
    Plain,
    reason_of,
    remove,
    replacing,
    scratch_beside,
    short_digest,
    write_whole,
)
from perfkit.paths import CACHE_VARIABLE, cache_folder
from perfkit.seal import DamagedError, file_digest, read_sealed, sealed

KEY_DIGITS = 16
STALE_S = 24 * 3600.0
"""Age at which a scratch file is taken for the leftover of a process that was killed."""

LOGGER = logging.getLogger("perfkit.cache")
"""Says in one line, a warning, that an entry was damaged and is rebuilt."""


@dataclass(frozen=True)
class Entry:
    """Names one entry of the cache.

    Attributes
    ----------
    kind
        Name of the folder, e.g. ``xla-flags``.
    what
        What the value is, for messages, e.g. *list of XLA flags*.
    depends_on
        Everything that the value follows from: with any other, it is another entry.
    """

    kind: str
    what: str
    depends_on: Mapping[str, Plain]

    @property
    def path(self) -> Path:
        """The sealed file that describes the entry; its folder exists.

        Raises
        ------
        UserError
            The cache folder cannot be created.
        """
        return cache_folder(self.kind) / f"{short_digest(self.depends_on, KEY_DIGITS)}.json"


def cached_value(
    entry: Entry, build: Callable[[], Plain], usable: Callable[[Plain], bool]
) -> Plain:
    """The entry's value, built when the cache does not hold it whole.

    Parameters
    ----------
    build
        Makes the value; plain data.
    usable
        Whether a value read from the cache is one to use.

    Raises
    ------
    NotWrittenError
        The cache cannot be written.
    """
    kept = load_value(entry)
    if kept is not None and usable(kept):
        return kept
    value = build()
    store_value(entry, value)
    return value


def load_value(entry: Entry) -> Plain:
    """The value that the cache holds, None for none; says when it is damaged."""
    try:
        about = _description(entry)
    except DamagedError as error:
        _say_damaged(entry, error)
        return None
    return None if about is None else about.get("value")


def store_value(entry: Entry, value: Plain) -> None:
    """Put a value into the cache, in place of the present one.

    Raises
    ------
    NotWrittenError
        The cache cannot be written.
    """
    _describe(entry, {"value": value})


def cached_file(
    entry: Entry, suffix: str, write: Callable[[BinaryIO], Plain]
) -> tuple[Path, Plain]:
    """The entry's file, checked, and written when the cache does not hold it whole.

    Parameters
    ----------
    suffix
        Of the file's name, with its point.
    write
        Writes the file; returns plain data that is kept in the description.

    Returns
    -------
    path : Path
        The file.
    about : Plain
        What ``write`` returned when the file was written.

    Raises
    ------
    NotWrittenError
        The cache cannot be written.
    """
    try:
        kept = _kept_file(entry)
    except DamagedError as error:
        _say_damaged(entry, error)
        kept = None
    return kept if kept is not None else _build_file(entry, suffix, write)


def _description(entry: Entry) -> dict[str, Plain] | None:
    body = read_sealed(entry.path)
    if body is None:
        return None
    try:
        about = json.loads(body)
    except ValueError:
        raise DamagedError("no JSON") from None
    if not isinstance(about, dict) or about.get("depends_on") != _as_read(entry.depends_on):
        raise DamagedError("that of another entry")
    return about


def _as_read(value: Plain) -> Plain:
    """Plain data as it comes back from JSON: tuples are lists there."""
    read: Plain = json.loads(json.dumps(value))
    return read


def _describe(entry: Entry, about: Mapping[str, Plain]) -> None:
    body = json.dumps({"what": entry.what, "depends_on": entry.depends_on, **about}, indent=1)
    _make_way(entry.path)
    with _keeping(entry):
        write_whole(entry.path, sealed(body.encode()), "cache file")


def _kept_file(entry: Entry) -> tuple[Path, Plain] | None:
    about = _description(entry)
    if about is None:
        return None
    path = entry.path.with_name(str(about.get("file")))
    try:
        size = path.stat().st_size
        if size != about.get("bytes"):
            raise DamagedError(
                f"damaged: {path.name} has {size} bytes instead of {about.get('bytes')}"
            )
        if file_digest(path) != about.get("sha256_of_blocks"):
            raise DamagedError(f"damaged: the checksum of {path.name} differs")
    except OSError as error:
        raise DamagedError(f"damaged: {path.name} is unreadable ({reason_of(error)})") from error
    return path, about.get("value")


def _build_file(
    entry: Entry, suffix: str, write: Callable[[BinaryIO], Plain]
) -> tuple[Path, Plain]:
    _remove_stale(entry.path.parent)
    draft = scratch_beside(entry.path)
    try:
        with _keeping(entry):
            with replacing(draft, "cache file") as stream:
                value = write(stream)
            digest, size = file_digest(draft), draft.stat().st_size
            path = entry.path.with_name(f"{entry.path.stem}-{digest[:KEY_DIGITS]}{suffix}")
            _make_way(path)
            draft.replace(path)
    finally:
        remove(draft)
    about: dict[str, Plain] = {
        "file": path.name,
        "bytes": size,
        "sha256_of_blocks": digest,
        "value": value,
    }
    _describe(entry, about)
    return path, value


@contextlib.contextmanager
def _keeping(entry: Entry) -> Iterator[None]:
    """Turn what the file system refuses into a sentence about the entry."""
    try:
        yield
    except (OSError, NotWrittenError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        reason = reason_of(cause) if isinstance(cause, OSError) else str(error)
        raise NotWrittenError(
            f"the {entry.what} cannot be kept in {entry.path.parent} ({reason}); "
            f"set {CACHE_VARIABLE} to a folder that has room and can be written"
        ) from error


def _make_way(path: Path) -> None:
    """Remove a folder or a link that has the name of a cache file."""
    if path.is_dir() or path.is_symlink():
        remove(path)


def _remove_stale(folder: Path) -> None:
    """Remove the scratch files of processes that were killed: they may be gigabytes."""
    for path in folder.glob(f"{SCRATCH_PREFIX}*{SCRATCH_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


def _say_damaged(entry: Entry, error: DamagedError) -> None:
    LOGGER.warning(
        "perfkit: the cache file %s is %s; the %s is made again", entry.path, error, entry.what
    )
