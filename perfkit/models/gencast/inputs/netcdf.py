"""Opening NetCDF files and reading their variables, with one sentence for every bad file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import MissingDependencyError, UserError
from perfkit.records.machine import available_memory_bytes
from perfkit.units import bytes_text, cut

if TYPE_CHECKING:
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
"""What HDF5, h5netcdf and xarray raise on damaged files, depending on where the damage is."""

_LONGEST_NAME = 120


def shown(text: object) -> str:
    """What a file calls something, for a message; see :func:`perfkit.units.cut`."""
    return cut(str(text), _LONGEST_NAME)


def open_dataset(path: Path) -> xarray.Dataset:
    """Open ``path`` without reading or decoding any values; :func:`read_numbers` does both.

    Raises
    ------
    MissingDependencyError
        xarray or h5netcdf is not installed.
    UserError
        The file is missing, no NetCDF-4 file, or damaged.
    """
    try:
        import h5netcdf  # noqa: F401  # xarray's engine, whose absence it reports less clearly
        import h5py
        import xarray
    except ImportError as error:
        raise MissingDependencyError(
            "reading NetCDF files needs xarray, h5netcdf and h5py; install perfkit[gencast]"
        ) from error
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        if not h5py.is_hdf5(path):
            raise UserError(_no_netcdf4(path))
        # h5netcdf fails on root groups without attributes only after it has opened the file, and
        # then complains a second time when it is collected.
        with h5py.File(path) as file:
            file.attrs.get("_nc3_strict")
        # Indexes would read whole coordinates, whatever size the file claims for them.
        return xarray.open_dataset(
            path, engine="h5netcdf", decode_cf=False, create_default_indexes=False
        )
    except _READ_ERRORS as error:
        raise _damaged(path, error) from error


def _no_netcdf4(path: Path) -> str:
    with path.open("rb") as file:
        classic = file.read(len(_CLASSIC)) == _CLASSIC
    if classic:
        return f"{path} is a NetCDF-3 file; convert it to NetCDF-4, e.g. with nccopy -k nc4"
    return f"{path} is not a NetCDF-4 file"


def _damaged(path: Path, error: BaseException) -> UserError:
    detail = shown(" ".join(str(error).split()))
    return UserError(f"{path} is damaged or incomplete and cannot be read ({detail})")


def read_numbers(dataset: xarray.Dataset, name: str, path: Path) -> NDArray[Any]:
    """Unpacked values of a variable, NaN where the file marks them as missing.

    Integers are read as 64-bit, floats in their own width; packed values (``scale_factor``,
    ``add_offset``) and integers with a fill value become floats.

    Raises
    ------
    UserError
        The variable holds no numbers, cannot be read, or is larger than the free memory.
    """
    import xarray

    variable = dataset.variables[name]
    kind = variable.dtype.kind
    if kind not in "iuf":
        raise UserError(f"{path}: {name} has values of type {variable.dtype}, not numbers")
    refuse_larger_than_memory(8 * variable.size, f"{path}: {name}")
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


def refuse_larger_than_memory(needed_bytes: int, what: str) -> None:
    """Refuse what a file's header claims to hold and this machine cannot.

    Raises
    ------
    UserError
        ``needed_bytes`` is more than the memory that is free.
    """
    free = available_memory_bytes()
    if needed_bytes > free:
        raise UserError(
            f"{what} takes {bytes_text(needed_bytes)} of memory, {bytes_text(free)} are free; "
            "the file is damaged or too large"
        )
