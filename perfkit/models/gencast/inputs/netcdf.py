"""Opens NetCDF files and reads their variables, and reports a bad file in one sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.hdf5_check import refuse_unreadable
from perfkit.packages import require_packages
from perfkit.records.machine import available_memory_bytes
from perfkit.units import bytes_text, cut

if TYPE_CHECKING:
    import h5py
    import xarray

_CLASSIC = b"CDF"
"""First bytes of NetCDF-3 files."""

_READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions of HDF5, h5netcdf and xarray for damaged files; the place of the damage decides
which."""

_MOST_CHUNKS = 1_000_000
"""Most chunks of a variable: HDF5 describes all of them in memory before it reads one. The largest
variables of GenCast at 0.25 degrees have some hundred."""

_LONGEST_NAME = 120
"""Most characters of a name that a message shows."""


def shown(text: object) -> str:
    """Shorten and escape a text from a file for a message; see :func:`perfkit.units.cut`."""
    return cut(str(text), _LONGEST_NAME)


def open_dataset(path: Path) -> xarray.Dataset:
    """Open a file without reading or decoding values; :func:`read_numbers` does both.

    Raises
    ------
    MissingDependencyError
        xarray, h5netcdf or h5py is not installed.
    UserError
        The file is missing, damaged or not NetCDF-4, or refers to values in another file; HDF5
        reads it without end; or HDF5 crashes over it.
    """
    # xarray reports the absence of its engine, h5netcdf, less clearly.
    require_packages("reading NetCDF files", ("xarray", "h5netcdf", "h5py"))
    import h5py
    import xarray

    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        if not h5py.is_hdf5(path):
            raise UserError(_no_netcdf4(path))
        refuse_unreadable(path)
        # h5netcdf opens a file before it fails on a root group without attributes, and then fails
        # a second time when it is garbage-collected.
        with h5py.File(path) as file:
            file.attrs.get("_nc3_strict")
            elsewhere = next((name for name in file if _is_elsewhere(file, name)), None)
        if elsewhere is not None:
            raise UserError(
                f"{path}: the values of {shown(elsewhere)} are in another file, which is not read; "
                "copy them into one file, for example with h5repack"
            )
        # Indexes would read whole coordinates, however large the file claims that they are.
        return xarray.open_dataset(
            path, engine="h5netcdf", decode_cf=False, create_default_indexes=False
        )
    except _READ_ERRORS as error:
        raise _damaged(path, error) from error


def _is_elsewhere(file: h5py.File, name: str) -> bool:
    """Whether HDF5 would take an entry from any file of the machine that this file names."""
    import h5py

    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        return True
    entry = file[name]
    return isinstance(entry, h5py.Dataset) and bool(entry.external or entry.is_virtual)


def _no_netcdf4(path: Path) -> str:
    with path.open("rb") as file:
        classic = file.read(len(_CLASSIC)) == _CLASSIC
    if classic:
        return f"{path} is a NetCDF-3 file; convert it to NetCDF-4, for example with nccopy -k nc4"
    return f"{path} is not a NetCDF-4 file"


def _damaged(path: Path, error: BaseException) -> UserError:
    detail = shown(" ".join(str(error).split()))
    return UserError(f"{path} is damaged or incomplete and cannot be read ({detail})")


def read_numbers(dataset: xarray.Dataset, name: str, path: Path) -> NDArray[Any]:
    """Read and unpack the values of a variable. Values marked as missing become NaN.

    Integers are read as 64-bit integers, floats in their own width. Packed values
    (``scale_factor``, ``add_offset``) and integers with a fill value become floats.

    Parameters
    ----------
    dataset
        Dataset from :func:`open_dataset`.
    name
        Name of the variable.
    path
        The file, for messages.

    Raises
    ------
    UserError
        The variable does not hold numbers, cannot be read, is larger than the free memory, or is
        stored in very many chunks.
    """
    import xarray

    variable = dataset.variables[name]
    kind = variable.dtype.kind
    if kind not in "iuf":
        raise UserError(f"{path}: {name} has values of type {variable.dtype}, not numbers")
    refuse_larger_than_memory(8 * variable.size, f"{path}: {name}")
    _refuse_crumbs(variable, f"{path}: {name}")
    wide = variable.dtype if kind == "f" else {"i": np.int64, "u": np.uint64}[kind]
    try:
        values = np.asarray(variable.values, np.dtype(wide).newbyteorder("="))
        raw = xarray.Variable(variable.dims, values, dict(variable.attrs))
        decoded = xarray.conventions.decode_cf_variable(
            name, raw, decode_times=False, decode_timedelta=False
        )
        unpacked: NDArray[Any] = np.asarray(decoded.values)
    except _READ_ERRORS as error:
        raise _damaged(path, error) from error
    if unpacked.dtype.kind not in "iuf":
        raise UserError(f"{path}: {name} has values of type {unpacked.dtype}, not numbers")
    return unpacked


def _refuse_crumbs(variable: xarray.Variable, what: str) -> None:
    """Refuse a variable in more chunks than HDF5 can read; they may exist in its header only."""
    chunk = variable.encoding.get("chunksizes")
    if chunk is None:
        return
    parts = zip(variable.shape, chunk, strict=True)
    count = math.prod(-(-length // part) for length, part in parts)
    if count > _MOST_CHUNKS:
        raise UserError(
            f"{what} is stored in {count:,} chunks, more than {_MOST_CHUNKS:,}; store it in larger "
            "ones, for example with nccopy -c"
        )


def refuse_larger_than_memory(needed_bytes: int, what: str) -> None:
    """Refuse data that need more memory than is free.

    Parameters
    ----------
    needed_bytes
        Size of the data according to the file's header.
    what
        Name of the data, for messages.

    Raises
    ------
    UserError
        ``needed_bytes`` exceeds the free memory.
    """
    free = available_memory_bytes()
    if needed_bytes > free:
        raise UserError(
            f"{what} needs {bytes_text(needed_bytes)} of memory, but {bytes_text(free)} are free; "
            "the file is damaged or too large"
        )
