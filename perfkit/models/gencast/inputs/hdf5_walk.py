"""Reads the structure of HDF5 files, each in a process that may hang or crash.

``python -m perfkit.models.gencast.inputs.hdf5_walk`` is the child of
:mod:`perfkit.models.gencast.inputs.hdf5_check`. It reads one request per line, a JSON list of the
path and two limits in seconds (CPU time, wall time), and answers with one line: the exit code of
the process that read the file, negative for the signal that ended it. h5py is imported once, which
takes most of the time; the process of a file is a fork.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np

MOST_VALUES_BYTES = 1 << 20
"""Size up to which the values of a variable are read: coordinates, texts. Of a larger variable, the
index of its chunks is read, and its first and last value."""


def main() -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        path, cpu_s, wall_s = json.loads(line)
        child = os.fork()
        if child == 0:
            _walk_and_exit(path, cpu_s, wall_s)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _walk_and_exit(path: str, cpu_s: float, wall_s: float) -> NoReturn:
    """Read a file in this process, and end it.

    The exit code is 0 even if HDF5 reports errors: the reader of the file reports them.
    """
    try:
        # Both limits end a process whose native code never returns to Python.
        limit_s = math.ceil(cpu_s)
        with contextlib.suppress(ValueError):
            # A lower limit that the user has set holds instead.
            resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
        signal.setitimer(signal.ITIMER_REAL, wall_s)
        with contextlib.suppress(OSError):
            # If the file makes HDF5 fill the memory, the kernel ends this process before others.
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        walk(path)
    finally:
        os._exit(0)


def walk(path: str) -> None:
    """Read what HDF5 reads of a file when its variables are listed, described and opened.

    Parameters
    ----------
    path
        The file. Other files that it refers to are not opened.
    """
    with h5py.File(path) as file:
        _read_object(file)
        _read_members(file, set())


def _read_members(group: Any, seen: set[int]) -> None:
    """Read all objects below a group, each once: a damaged group may contain itself."""
    with contextlib.suppress(Exception):
        for name in list(group):
            # Soft and external links lead to objects that are read elsewhere, or to other files.
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            with contextlib.suppress(Exception):
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    continue
                seen.add(address)
                _read_object(item)
                if isinstance(item, h5py.Group):
                    _read_members(item, seen)


def _read_object(item: Any) -> None:
    """Read a group or a dataset. An error in one part leaves the others to be read."""
    with contextlib.suppress(Exception):
        for name in list(item.attrs):
            with contextlib.suppress(Exception):
                _follow(item.file, item.attrs[name])
    if isinstance(item, h5py.Dataset):
        for read in (_read_description, _read_dimensions, _read_values):
            with contextlib.suppress(Exception):
                read(item)


def _follow(file: Any, value: Any) -> None:
    """Open the objects that an attribute refers to, such as the dimensions of a variable."""
    if isinstance(value, h5py.Reference):
        file[value]  # opens the object
    elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
        for entry in value.flat:
            _follow(file, entry)


def _read_description(item: Any) -> object:
    return (
        *(item.shape, item.maxshape, item.dtype, item.chunks, item.fillvalue, item.compression),
        *(item.compression_opts, item.shuffle, item.fletcher32, item.scaleoffset, item.is_scale),
    )


def _read_dimensions(item: Any) -> object:
    return [(dimension.label, list(dimension.items())) for dimension in item.dims]


def _read_values(item: Any) -> None:
    if item.external or item.is_virtual or not item.size:
        return
    if item.size * item.dtype.itemsize <= MOST_VALUES_BYTES:
        item[()]  # reads all values
        return
    if item.chunks is not None:
        item.id.chunk_iter(lambda chunk: None)
    for place in (tuple(0 for _ in item.shape), tuple(length - 1 for length in item.shape)):
        item[place]  # reads one value


if __name__ == "__main__":
    main()
