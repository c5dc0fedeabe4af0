"""The constants that upstream's wheel lacks, written to the cache in the format upstream reads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from perfkit.cache import Entry, cached_file
from perfkit.errors import UserError
from perfkit.files import Plain, remove
from perfkit.models.af3.chemistry.component_source import source_key

type Constants = Mapping[str, frozenset[str]] | Mapping[str, Mapping[str, list[str]]]
"""Either component sets (name -> codes) or a dictionary (code -> mmCIF item -> values)."""

_LAYOUT = 2
"""To be raised when the contents of the files change, so that no older file is taken for one."""


def constants_file(
    what: str, suffix: str, depends_on: Mapping[str, Plain], build: Callable[[], Constants]
) -> Path:
    """A file with constants in the cache, built when it is not there or damaged.

    Parameters
    ----------
    what
        What the constants are, for messages.
    suffix
        ``.pickle`` (ColabFold's build, DeepMind's up to 2026) or ``.msgpack`` (DeepMind's today).
    depends_on
        What the constants follow from, in addition to the dictionary that they are read from.
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
    keyed = {"layout": _LAYOUT, "format": suffix, "source": source_key(), **depends_on}

    def write(stream: BinaryIO) -> None:
        stream.write(encode(build()))

    path, _ = cached_file(Entry("af3-components", what, keyed), suffix, write)
    # ColabFold's build leaves an index there and prefers it to the file, with nothing that would
    # show damage. Our files are small enough to be read whole.
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
