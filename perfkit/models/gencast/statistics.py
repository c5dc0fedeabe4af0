"""Means and spreads by level, and normalisation with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.netcdf import open_dataset
from perfkit.models.gencast.task import MASKED_VARIABLE, TaskConfig

ByVariable = Mapping[str, Any]
"""Variable -> float32 scalar, or ``[levels]`` for atmospheric ones."""


class Statistics(NamedTuple):
    """What a checkpoint was trained with.

    Attributes
    ----------
    mean, spread
        Of the values of inputs, forcings and precipitation.
    change_spread
        Of the 12-hour change of every target that is an input too.
    fill
        Stands for missing sea-surface temperature, K.
    """

    mean: ByVariable
    spread: ByVariable
    change_spread: ByVariable
    fill: Any


def load_statistics(folder: Path, task: TaskConfig) -> Statistics:
    """Read the four statistics files; levels are picked by value.

    Raises
    ------
    UserError
        A file, a variable or a level is missing.
    """
    values = tuple(dict.fromkeys((*task.input_variables, *task.forcing_variables)))
    only_targets = tuple(v for v in task.target_variables if v not in task.input_variables)
    changing = tuple(v for v in task.target_variables if v in task.input_variables)
    mean, spread, change_spread, smallest = (
        _read(folder, name, variables, task)
        for name, variables in (
            ("mean_by_level.nc", values + only_targets),
            ("stddev_by_level.nc", values + only_targets),
            ("diffs_stddev_by_level.nc", changing),
            ("min_by_level.nc", (MASKED_VARIABLE,)),
        )
    )
    return Statistics(mean, spread, change_spread, smallest[MASKED_VARIABLE])


def _read(
    folder: Path, name: str, variables: tuple[str, ...], task: TaskConfig
) -> dict[str, NDArray[np.float32]]:
    path = folder / name
    if not path.is_file():
        raise UserError(f"the statistics folder {folder} lacks {name}")
    found: dict[str, NDArray[np.float32]] = {}
    with open_dataset(path) as dataset:
        for variable in variables:
            if variable not in dataset:
                raise UserError(f"{path} has no statistics of {variable}")
            values = dataset[variable]
            if "level" in values.dims:
                absent = [p for p in task.pressure_levels if p not in dataset["level"].values]
                if absent:
                    raise UserError(f"{path} has no statistics at {absent[0]} hPa")
                values = values.sel(level=list(task.pressure_levels))
            found[variable] = np.asarray(values.values, np.float32)
    return found


def _aligned(statistic: Any, values: Any) -> Any:
    """A statistic in the values' dtype, levels along the third axis from the end."""
    cast = statistic.astype(values.dtype)
    return cast.reshape(-1, 1, 1) if cast.ndim == 1 else cast


def normalise(values: Mapping[str, Any], statistics: Statistics) -> dict[str, Any]:
    """``(value - mean) / spread`` of every variable."""
    return {
        name: (array - _aligned(statistics.mean[name], array))
        / _aligned(statistics.spread[name], array)
        for name, array in values.items()
    }


def physical_targets(
    normalised: Mapping[str, Any], latest: Mapping[str, Any], statistics: Statistics
) -> dict[str, Any]:
    """Targets in their own units from what the sampler works with.

    Parameters
    ----------
    normalised
        Normalised changes, or values for targets that are no inputs.
    latest
        The last input frame in its own units, without missing values.
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
