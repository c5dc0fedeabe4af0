"""Caches the chemical constants that upstream's wheel lacks, in the format that upstream reads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from perfkit.cache import Entry, cached_file
from perfkit.errors import UserError
from perfkit.files import JsonData, remove
from perfkit.models.af3.chemistry.biotite_dictionary import source_key

type Constants = Mapping[str, frozenset[str]] | Mapping[str, Mapping[str, list[str]]]
"""Either sets (set name -> component codes) or a dictionary (code -> mmCIF item -> values)."""

_LAYOUT = 2
"""Version of the files' contents. Raise it when they change, so that older files are not used."""


def constants_file(
    what: str, suffix: str, depends_on: Mapping[str, JsonData], build: Callable[[], Constants]
) -> Path:
    """Return the cached file of some constants; build it if it is missing or damaged.

    Parameters
    ----------
    what
        Description of the constants, for messages.
    suffix
        Format of the file: ``.pickle`` (ColabFold's build, DeepMind's until 2026) or ``.msgpack``
        (DeepMind's current version).
    depends_on
        Inputs that determine the constants, in addition to the dictionary that they are read
        from. They become part of the cache key.
    build
        Returns the constants. Called only if the file has to be built.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    UserError
        The format is unknown, or the cache cannot be written.
    """
    encode = _ENCODERS.get(suffix)
    if encode is None:
        raise UserError(
            f"the installed alphafold3 reads its chemical components as '{suffix}' files, which "
            "this version of perfkit cannot write"
        )
    keyed = {"layout": _LAYOUT, "format": suffix, "source": source_key(), **depends_on}

    def write(stream: BinaryIO) -> None:
        stream.write(encode(build()))

    path, _ = cached_file(Entry("af3-components", what, keyed), suffix, write)
    # ColabFold's build writes an index next to the file and prefers it to the file, without a
    # checksum that would reveal damage. These files are small enough to be read whole.
    remove(path.with_name(f"{path.name}.index"))
    return path


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
