"""The constants that upstream's wheel lacks, written to the cache in the format upstream reads."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perfkit.errors import UserError
from perfkit.models.af3.component_source import source_key
from perfkit.paths import cache_folder

type Constants = Mapping[str, frozenset[str]] | Mapping[str, Mapping[str, list[str]]]
"""Either component sets (name -> codes) or a dictionary (code -> mmCIF item -> values)."""

_LAYOUT = 1
"""To be raised when the contents of the files change, so that no older file is taken for one."""


def constants_file(stem: str, suffix: str, build: Callable[[], Constants]) -> Path:
    """A file with constants in the cache, built when it is not there.

    Parameters
    ----------
    stem
        What the constants are, with a digest of what they depend on.
    suffix
        ``.pickle`` (ColabFold's build, DeepMind's up to 2026) or ``.msgpack`` (DeepMind's today).
    build
        Called for the contents if need be.

    Raises
    ------
    UserError
        The format is unknown, or the cache cannot be written.
    """
    encode = _ENCODERS.get(suffix)
    if encode is None:
        raise UserError(
            f"the installed alphafold3 reads its chemical components as '{suffix}' files, which "
            "perfkit cannot write: install the version that perfkit's af3 extra names"
        )
    path = cache_folder("af3", f"components-{_LAYOUT}-{source_key()}") / f"{stem}{suffix}"
    if not path.exists():
        _write_atomically(path, encode(build()))
    return path


def _write_atomically(path: Path, payload: bytes) -> None:
    """Writes a file so that a reader sees all of it or none."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(payload)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"the cache file {path} cannot be written: {error.strerror}") from error


def _as_msgpack(constants: Constants) -> bytes:
    import msgpack

    def plain(value: frozenset[str]) -> list[str]:
        return sorted(value)

    packed: Any = msgpack.packb(dict(constants), default=plain)
    return bytes(packed)


def _as_pickle(constants: Constants) -> bytes:
    return pickle.dumps(dict(constants))


_ENCODERS: Mapping[str, Callable[[Constants], bytes]] = {
    ".pickle": _as_pickle,
    ".msgpack": _as_msgpack,
}
