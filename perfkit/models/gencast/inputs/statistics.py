"""Reads the statistics of a checkpoint, and normalises variables with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.levels import level_indices
from perfkit.models.gencast.inputs.netcdf import open_dataset, read_numbers, shown
from perfkit.models.gencast.task import MASKED_VARIABLE, TaskConfig, dimensions_of

if TYPE_CHECKING:
    import xarray

ByVariable = Mapping[str, Any]
"""Variable -> float32 scalar, or ``[levels]`` for atmospheric ones."""


class Statistics(NamedTuple):
    """Statistics of the data that a checkpoint was trained with.

    Attributes
    ----------
    mean, spread
        Mean and standard deviation of the values of inputs, forcings and precipitation.
    change_spread
        Standard deviation of the 12-hour change of every target that is also an input.
    fill
        Value that replaces missing sea-surface temperature, in K.
    """

    mean: ByVariable
    spread: ByVariable
    change_spread: ByVariable
    fill: Any


def load_statistics(folder: Path, task: TaskConfig) -> Statistics:
    """Read the four statistics files. Levels are selected by value.

    Parameters
    ----------
    folder
        Folder with ``mean_by_level.nc``, ``stddev_by_level.nc``, ``diffs_stddev_by_level.nc`` and
        ``min_by_level.nc``.
    task
        Task that names the variables and levels.

    Raises
    ------
    UserError
        A file, a variable or a level is missing; a file is damaged; a value is not finite; or a
        standard deviation is not positive.
    """
    values = tuple(dict.fromkeys((*task.input_variables, *task.forcing_variables)))
    only_targets = tuple(v for v in task.target_variables if v not in task.input_variables)
    changing = tuple(v for v in task.target_variables if v in task.input_variables)
    mean, spread, change_spread, smallest = (
        _read(folder, name, variables, task, positive)
        for name, variables, positive in (
            ("mean_by_level.nc", values + only_targets, False),
            ("stddev_by_level.nc", values + only_targets, True),
            ("diffs_stddev_by_level.nc", changing, True),
            ("min_by_level.nc", (MASKED_VARIABLE,), True),
        )
    )
    return Statistics(mean, spread, change_spread, smallest[MASKED_VARIABLE])


def _read(
    folder: Path, name: str, variables: tuple[str, ...], task: TaskConfig, positive: bool
) -> dict[str, NDArray[np.float32]]:
    path = folder / name
    if not path.is_file():
        raise UserError(f"the statistics folder {folder} lacks {name}")
    with open_dataset(path) as dataset:
        for variable in variables:
            _check_layout(dataset, variable, path)
        levels = level_indices(dataset, task, path)
        found = {}
        for variable in variables:
            values = read_numbers(dataset, variable, path)
            found[variable] = np.asarray(values[levels] if values.ndim else values, np.float32)
    for variable, values in found.items():
        usable = np.isfinite(values) & ((values > 0) | (not positive))
        if not usable.all():
            wanted = "a finite number above 0" if positive else "a finite number"
            wrong = float(np.atleast_1d(values)[~np.atleast_1d(usable)][0])
            raise UserError(f"{path}: {variable} has the value {wrong:g}; it must be {wanted}")
    return found


def _check_layout(dataset: xarray.Dataset, variable: str, path: Path) -> None:
    if variable not in dataset.data_vars:
        raise UserError(f"{path} has no statistics of {variable}")
    wanted = ("level",) if "level" in dimensions_of(variable) else ()
    found = dataset.variables[variable].dims
    if found != wanted:
        raise UserError(
            f"{path}: {variable} has dimensions {shown(', '.join(map(str, found)) or 'none')} "
            f"instead of {', '.join(wanted) or 'none'}"
        )
    if "level" not in dataset.variables:
        raise UserError(f"{path} lacks the coordinate level")


def _aligned(statistic: Any, values: Any) -> Any:
    """Convert a statistic to the dtype of the values, with levels along the third-last axis."""
    cast = statistic.astype(values.dtype)
    return cast.reshape(-1, 1, 1) if cast.ndim == 1 else cast


def normalise(values: Mapping[str, Any], statistics: Statistics) -> dict[str, Any]:
    """Compute ``(value - mean) / spread`` of every variable.

    Parameters
    ----------
    values
        Variable -> array with the dimensions ``[..., lat, lon]`` or ``[..., level, lat, lon]``.
    statistics
        The statistics.
    """
    return {
        name: (array - _aligned(statistics.mean[name], array))
        / _aligned(statistics.spread[name], array)
        for name, array in values.items()
    }


def physical_targets(
    normalised: Mapping[str, Any], latest: Mapping[str, Any], statistics: Statistics
) -> dict[str, Any]:
    """Convert sampled targets to physical units.

    Parameters
    ----------
    normalised
        Normalised changes; normalised values for targets that are not inputs.
    latest
        The last input frame in physical units, without missing values.
    statistics
        The statistics.
    """
    physical: dict[str, Any] = {}
    for name, array in normalised.items():
        if name in latest:
            scale = _aligned(statistics.change_spread[name], array)
            physical[name] = array * scale + latest[name]
        else:
            spread = _aligned(statistics.spread[name], array)
            physical[name] = array * spread + _aligned(statistics.mean[name], array)
    return physical
