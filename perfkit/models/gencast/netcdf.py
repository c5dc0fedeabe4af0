"""Opening NetCDF files the same way everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import MissingDependencyError, UserError

if TYPE_CHECKING:
    import xarray


def open_dataset(path: Path) -> xarray.Dataset:
    """Open ``path`` without decoding times, whose rules differ between xarray versions.

    Raises
    ------
    MissingDependencyError
        xarray or h5netcdf is not installed.
    UserError
        The file is missing or is no NetCDF-4 file.
    """
    try:
        import h5netcdf  # noqa: F401  # xarray's engine, whose absence it reports less clearly
        import xarray
    except ImportError as error:
        raise MissingDependencyError(
            "reading NetCDF files needs xarray, h5netcdf and h5py; install perfkit[gencast]"
        ) from error
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        return xarray.open_dataset(path, engine="h5netcdf", decode_times=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a NetCDF-4 file") from error
