"""Finds pressure levels in NetCDF files by their value."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.netcdf import read_numbers, shown
from perfkit.models.gencast.task import TaskConfig

if TYPE_CHECKING:
    import xarray

_HECTOPASCALS = {
    "pa": 0.01,
    **dict.fromkeys(("hpa", "mb", "mbar", "millibar", "millibars", "1", ""), 1.0),
}
"""Unit of the levels, in lower case -> factor to hPa."""

_SAME_LEVEL = 1e-4
"""Largest relative distance of equal levels, which packing and float16 cause."""


def level_indices(dataset: xarray.Dataset, task: TaskConfig, path: Path) -> NDArray[np.int64]:
    """Find the positions of the task's pressure levels along the dimension ``level``.

    Returns
    -------
    ndarray
        int64 ``[levels]``, in the order of the task.

    Raises
    ------
    UserError
        A level is missing or present twice, or the unit is neither hPa, Pa nor millibar.
    """
    variable = dataset.variables["level"]
    if variable.dims != ("level",):
        raise UserError(f"{path}: level has dimensions {shown(variable.dims)} instead of (level)")
    unit = str(variable.attrs.get("units", "hPa")).strip().lower()
    if unit not in _HECTOPASCALS:
        raise UserError(
            f"{path}: level has the unit {shown(unit)!r}; it must be hPa, Pa or millibars"
        )
    levels = read_numbers(dataset, "level", path).astype(np.float64) * _HECTOPASCALS[unit]
    indices = []
    for wanted in task.pressure_levels:
        found = np.flatnonzero(np.abs(levels - wanted) <= _SAME_LEVEL * wanted)
        if not found.size:
            raise UserError(f"{path} lacks the level {wanted} hPa")
        if found.size > 1:
            raise UserError(f"{path} has the level {wanted} hPa {found.size} times")
        indices.append(int(found[0]))
    return np.array(indices, np.int64)
