"""An index of the component dictionary that a package ships, read component by component.

DeepMind's package reads its whole dictionary into every process: 51,000 components, of which an
input needs a few dozen, take 2.6 GB. The index holds the same components, and a process decodes
those that it looks up. A process of its own builds it, so that the memory is given back.

The file is a sequence of components, each compressed JSON, then the table of their positions, and
at the end the position of the table as eight bytes.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from perfkit.cache import Entry, cached_file
from perfkit.errors import UserError
from perfkit.files import JsonData
from perfkit.foreign.plan import PLAN_VARIABLE
from perfkit.lifeline import run_tied

type Component = Mapping[str, Sequence[str]]
"""Items of a component (``_category.column``) -> values."""

type _Load = Callable[[str | os.PathLike[str]], MutableMapping[str, Component]]
"""Upstream's function that reads a dictionary from a file."""

_LAYOUT = 1
"""Version of the file. Raise it when the contents change, so that older files are not used."""

_POSITION_BYTES = 8

_LOADER = "_load_ccd"
"""Begin of the name of upstream's function that reads a dictionary, e.g.
``_load_ccd_pickle_cached``."""

_FILE_ATTRIBUTES = ("_CCD_PICKLE_FILE", "_CCD_MSGPACK_FILE")
"""Attributes of upstream's module that hold the dictionary's path: in ColabFold's build and
DeepMind's version of 2026, and in later ones."""

_OWN_INDEX = "write_ccd_index"
"""Function of packages that keep an index of their own next to the dictionary (ColabFold's)."""


def write_index(components: Mapping[str, Component], stream: BinaryIO) -> None:
    """Write the index of a dictionary.

    Parameters
    ----------
    components
        Component code -> component.
    stream
        File to write to; nothing is read back, so that it may be a pipe.

    Raises
    ------
    ValueError
        A component holds more than JSON can represent, so that its copy would differ.
    """
    table: dict[str, tuple[int, int]] = {}
    position = 0
    for code, component in components.items():
        text = json.dumps(component)
        if json.loads(text) != component:
            raise ValueError(f"component {code} holds values that JSON cannot represent")
        packed = zlib.compress(text.encode())
        stream.write(packed)
        table[code] = (position, len(packed))
        position += len(packed)
    stream.write(zlib.compress(json.dumps(table).encode()))
    stream.write(position.to_bytes(_POSITION_BYTES))


class ComponentIndex(Mapping[str, Component]):
    """The components of an index file. Each is decoded when it is first asked for.

    Parameters
    ----------
    path
        File of :func:`write_index`.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        end = os.fstat(self._file).st_size - _POSITION_BYTES
        begin = int.from_bytes(os.pread(self._file, _POSITION_BYTES, end))
        self._table: dict[str, list[int]] = json.loads(self._unpacked(begin, end - begin))
        self._decoded: dict[str, Component] = {}

    def __getitem__(self, code: str) -> Component:
        if code not in self._decoded:
            self._decoded[code] = json.loads(self._unpacked(*self._table[code]))
        return self._decoded[code]

    def __contains__(self, code: object) -> bool:
        return code in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def _unpacked(self, begin: int, length: int) -> bytes:
        return zlib.decompress(os.pread(self._file, length, begin))


class LayeredComponents(MutableMapping[str, Component]):
    """A dictionary to which components may be added, as upstream adds those of an input.

    Parameters
    ----------
    base
        The components below; they are never changed.
    """

    def __init__(self, base: Mapping[str, Component]) -> None:
        self._base = base
        self._added: dict[str, Component] = {}

    def __getitem__(self, code: str) -> Component:
        return self._added[code] if code in self._added else self._base[code]

    def __setitem__(self, code: str, component: Component) -> None:
        self._added[code] = component

    def __delitem__(self, code: str) -> None:
        raise TypeError("components cannot be removed from a dictionary")

    def __contains__(self, code: object) -> bool:
        return code in self._added or code in self._base

    def __iter__(self) -> Iterator[str]:
        yield from self._base
        yield from (code for code in self._added if code not in self._base)

    def __len__(self) -> int:
        return len(self._base) + sum(code not in self._base for code in self._added)


def index_file(dictionary: Path) -> Path:
    """Return the cached index of a dictionary; a process of its own builds it if it is missing.

    Parameters
    ----------
    dictionary
        The file that the installed ``alphafold3`` ships. Its name, size and time of change identify
        it: reading it whole takes longer than a prediction's start.

    Raises
    ------
    UserError
        The dictionary cannot be read, or the cache cannot be written.
    """
    state = dictionary.stat()
    keyed: dict[str, JsonData] = {
        "layout": _LAYOUT,
        "dictionary": str(dictionary.resolve()),
        "bytes": state.st_size,
        "changed_ns": state.st_mtime_ns,
    }

    def build(stream: BinaryIO) -> None:
        command = [sys.executable, "-m", __name__, str(dictionary)]
        # In a program of others, the plan would have this process read the index, too.
        own = {name: value for name, value in os.environ.items() if name != PLAN_VARIABLE}
        done = run_tied(command, env=own, stdout=stream, stderr=subprocess.PIPE)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"the process ended with code {done.returncode}"
            raise UserError(f"the component dictionary {dictionary} cannot be read: {reason}")

    entry = Entry("af3-components", "index of the package's component dictionary", keyed)
    return cached_file(entry, ".index", build)[0]


def read_by_index(module: ModuleType, dictionary: Path) -> bool:
    """Have upstream read its own dictionary through an index, for the rest of this process.

    Parameters
    ----------
    module
        Upstream's module ``alphafold3.constants.chemical_components``.
    dictionary
        The dictionary that the package ships. Other files are read as before.

    Returns
    -------
    bool
        Whether upstream reads through the index. It does not if the package keeps an index of its
        own, or has no single function that reads a dictionary.
    """
    name = whole_reader(module)
    if name is None:
        return False
    load = getattr(module, name)
    if not isinstance(load, _Loader):
        setattr(module, name, _Loader(load, dictionary))
    return True


def file_attribute(module: ModuleType) -> str | None:
    """Name of the attribute of upstream's module that holds the dictionary's path, if known."""
    return next((name for name in _FILE_ATTRIBUTES if hasattr(module, name)), None)


def whole_reader(module: ModuleType) -> str | None:
    """Name of upstream's function that reads a dictionary as a whole.

    Parameters
    ----------
    module
        Upstream's module ``alphafold3.constants.chemical_components``.

    Returns
    -------
    str or None
        None if the package keeps an index of its own, or has no single such function.
    """
    names = [name for name in vars(module) if name.startswith(_LOADER)]
    return None if hasattr(module, _OWN_INDEX) or len(names) != 1 else names[0]


class _Loader:
    """Upstream's function that reads a dictionary, with the package's own behind an index."""

    def __init__(self, others: _Load, dictionary: Path) -> None:
        self._others = others
        self._dictionary = dictionary.resolve()

    def __call__(self, path: str | os.PathLike[str]) -> MutableMapping[str, Component]:
        if Path(path).resolve() == self._dictionary:
            # A layer of its own: components of one input must not reach the next one.
            return LayeredComponents(_opened(self._dictionary))
        return self._others(path)


@functools.cache
def _opened(dictionary: Path) -> ComponentIndex:
    return ComponentIndex(index_file(dictionary))


def _main(dictionary: str) -> None:
    """Write the index of a dictionary to standard output."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stream:
        # Whatever upstream prints must not end up in the index.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        from alphafold3.constants import chemical_components

        write_index(chemical_components.Ccd(dictionary), stream)


if __name__ == "__main__":
    _main(sys.argv[1])
