"""A cache whose entries are keyed by their dependencies, checked when read, and rebuilt if damaged.

A sealed file (:mod:`perfkit.seal`) holds the entry as JSON: its dependencies and its value. A large
value is stored in a second file, and the sealed file holds its size and SHA-256. The name of the
second file contains its digest, so two processes that build one entry at the same time never mix
their files. This needs no locks, which shared file systems support badly.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from perfkit.errors import NotWrittenError
from perfkit.files import (
    SCRATCH_PREFIX,
    SCRATCH_SUFFIX,
    JsonData,
    reason_of,
    remove,
    replacing,
    scratch_path,
    short_digest,
    write_whole,
)
from perfkit.paths import CACHE_VARIABLE, cache_folder
from perfkit.seal import DamagedError, file_digest, read_sealed, sealed

KEY_DIGITS = 16
"""Hexadecimal digits of the digests in file names."""

STALE_S = 24 * 3600.0
"""Age in seconds from which a scratch file counts as left over by a killed process."""

KEPT_BYTES = 8 * 10**9
"""Bytes of large files that a folder of the cache keeps. An upgrade of a model's package makes new
ones of 2.2 GB (synthetic weights in two precisions), and nothing reads the old ones again."""

IN_USE_S = 24 * 3600.0
"""A file that was used within these seconds is kept, whatever the folder holds: another process
may be about to open it."""

LOGGER = logging.getLogger("perfkit.cache")
"""Logs one warning per damaged entry that is rebuilt."""


@dataclass(frozen=True)
class Entry:
    """Key of an entry in the cache.

    Attributes
    ----------
    folder
        Name of the folder below the cache's root, for example ``xla-flags``.
    description
        Description of the value for messages, for example *list of XLA flags*.
    depends_on
        Everything that the value depends on. Other dependencies make another entry.
    """

    folder: str
    description: str
    depends_on: Mapping[str, JsonData]

    @property
    def path(self) -> Path:
        """The sealed file of the entry, in a folder that exists.

        Raises
        ------
        UserError
            The cache folder cannot be created.
        """
        return cache_folder(self.folder) / f"{short_digest(self.depends_on, KEY_DIGITS)}.json"


def cached_value(
    entry: Entry, build: Callable[[], JsonData], usable: Callable[[JsonData], bool]
) -> JsonData:
    """Return the value of an entry, and build it if the cache has no usable one.

    Parameters
    ----------
    entry
        Key of the entry.
    build
        Builds the value, which JSON must be able to represent.
    usable
        Whether a value from the cache is valid. An invalid one is built again.

    Raises
    ------
    NotWrittenError
        The cache cannot be written.
    """
    cached = load_value(entry)
    if cached is not None and usable(cached):
        return cached
    value = build()
    store_value(entry, value)
    return value


def load_value(entry: Entry) -> JsonData:
    """Read a value from the cache; None if there is none, or if it is damaged, with a warning."""
    try:
        content = _content(entry)
    except DamagedError as error:
        _warn_damaged(entry, error)
        return None
    return None if content is None else content.get("value")


def store_value(entry: Entry, value: JsonData) -> None:
    """Store a value in the cache and replace the previous one.

    Raises
    ------
    NotWrittenError
        The cache cannot be written.
    """
    _store(entry, {"value": value})


def cached_file(
    entry: Entry, suffix: str, write: Callable[[BinaryIO], JsonData]
) -> tuple[Path, JsonData]:
    """Return the file of an entry after a check, and write it if it is missing or damaged.

    A new file displaces those of its folder that were not used for the longest time, where all of
    them take more than :data:`KEPT_BYTES`.

    Parameters
    ----------
    entry
        Key of the entry.
    suffix
        Suffix of the file's name, including the dot.
    write
        Writes the file and returns a value to store with it.

    Returns
    -------
    path : Path
        The file.
    value : JsonData
        The value that ``write`` returned.

    Raises
    ------
    NotWrittenError
        The cache cannot be written.
    """
    try:
        cached = _load_file(entry)
    except DamagedError as error:
        _warn_damaged(entry, error)
        cached = None
    return cached if cached is not None else _build_file(entry, suffix, write)


def _content(entry: Entry) -> dict[str, JsonData] | None:
    """The content of the sealed file; None if there is no file."""
    body = read_sealed(entry.path)
    if body is None:
        return None
    try:
        content = json.loads(body)
    except ValueError:
        raise DamagedError("not valid JSON") from None
    if not isinstance(content, dict) or content.get("depends_on") != _decoded(entry.depends_on):
        raise DamagedError("that of another entry")
    return content


def _decoded(value: JsonData) -> JsonData:
    """The value after a round trip through JSON, which turns tuples into lists."""
    decoded: JsonData = json.loads(json.dumps(value))
    return decoded


def _store(entry: Entry, content: Mapping[str, JsonData]) -> None:
    body = json.dumps(
        {"what": entry.description, "depends_on": entry.depends_on, **content}, indent=1
    )
    _remove_obstacle(entry.path)
    with _explained(entry):
        write_whole(entry.path, sealed(body.encode()), "cache file")


def _load_file(entry: Entry) -> tuple[Path, JsonData] | None:
    content = _content(entry)
    if content is None:
        return None
    path = entry.path.with_name(str(content.get("file")))
    try:
        size = path.stat().st_size
        if size != content.get("bytes"):
            raise DamagedError(
                f"damaged: {path.name} has {size} bytes instead of {content.get('bytes')}"
            )
        if file_digest(path) != content.get("sha256_of_blocks"):
            raise DamagedError(f"damaged: the checksum of {path.name} differs")
    except OSError as error:
        raise DamagedError(f"damaged: {path.name} is unreadable ({reason_of(error)})") from error
    with contextlib.suppress(OSError):
        # The time of the last use, see _remove_least_used. A cache may be read-only.
        os.utime(entry.path)
    return path, content.get("value")


def _build_file(
    entry: Entry, suffix: str, write: Callable[[BinaryIO], JsonData]
) -> tuple[Path, JsonData]:
    _remove_stale(entry.path.parent)
    draft = scratch_path(entry.path)
    try:
        with _explained(entry):
            with replacing(draft, "cache file") as stream:
                value = write(stream)
            digest, size = file_digest(draft), draft.stat().st_size
            path = entry.path.with_name(f"{entry.path.stem}-{digest[:KEY_DIGITS]}{suffix}")
            _remove_obstacle(path)
            draft.replace(path)
    finally:
        remove(draft)
    content: dict[str, JsonData] = {
        "file": path.name,
        "bytes": size,
        "sha256_of_blocks": digest,
        "value": value,
    }
    _store(entry, content)
    _remove_least_used(path)
    return path, value


@contextlib.contextmanager
def _explained(entry: Entry) -> Iterator[None]:
    """Turn an error of the file system into a sentence about the entry."""
    try:
        yield
    except (OSError, NotWrittenError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        reason = reason_of(cause) if isinstance(cause, OSError) else str(error)
        raise NotWrittenError(
            f"the {entry.description} cannot be stored in {entry.path.parent} ({reason}); "
            f"set {CACHE_VARIABLE} to a writable folder with enough space"
        ) from error


def _remove_obstacle(path: Path) -> None:
    """Remove a folder or a link that occupies the name of a cache file."""
    if path.is_dir() or path.is_symlink():
        remove(path)


def _remove_stale(folder: Path) -> None:
    """Remove scratch files of killed processes, which may take gigabytes."""
    for path in folder.glob(f"{SCRATCH_PREFIX}*{SCRATCH_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


def _remove_least_used(new: Path) -> None:
    """Remove the entries that were not used for the longest time until the folder is small."""
    used: list[tuple[float, int, Path]] = []
    for path in new.parent.glob(f"*{new.suffix}"):
        with contextlib.suppress(OSError):
            used.append((_last_use(path), path.stat().st_size, path))
    total_bytes = sum(size for _, size, _ in used)
    for last_use, size, path in sorted(used):
        if total_bytes <= KEPT_BYTES or time.time() - last_use < IN_USE_S:
            break
        if _is_of_its_entry(path):
            remove(_sealed_file(path))
        remove(path)
        total_bytes -= size


def _last_use(path: Path) -> float:
    """Seconds since the epoch at which a large file was last used, or made."""
    return (_sealed_file(path) if _is_of_its_entry(path) else path).stat().st_mtime


def _is_of_its_entry(path: Path) -> bool:
    """Whether the sealed file names this large file; an entry that was built again has another."""
    try:
        return path.name.encode() in _sealed_file(path).read_bytes()
    except OSError:
        return False


def _sealed_file(path: Path) -> Path:
    return path.with_name(f"{path.stem.partition('-')[0]}.json")


def _warn_damaged(entry: Entry, error: DamagedError) -> None:
    LOGGER.warning(
        "perfkit: the cache file %s is %s; the %s is rebuilt", entry.path, error, entry.description
    )
