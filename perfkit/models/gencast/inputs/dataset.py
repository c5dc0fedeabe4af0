"""Reads example datasets in the published NetCDF layout, and extracts a forecast's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perfkit.errors import UserError, nearest
from perfkit.models.gencast.inputs.forcings import calendar_forcings
from perfkit.models.gencast.inputs.levels import level_indices
from perfkit.models.gencast.inputs.netcdf import (
    open_dataset,
    read_numbers,
    refuse_larger_than_memory,
    shown,
)
from perfkit.models.gencast.inputs.times import absolute_seconds, duration_seconds, is_absolute
from perfkit.models.gencast.sphere.grid import check_grid
from perfkit.models.gencast.task import (
    FORCING_VARIABLES,
    INPUT_FRAMES,
    MASKED_VARIABLE,
    PRECIPITATION,
    STATIC_VARIABLES,
    STEP_HOURS,
    TaskConfig,
    dimensions_of,
)

if TYPE_CHECKING:
    import xarray

Fields = Mapping[str, NDArray[np.float32]]
"""Variable -> values, with the dimensions of :func:`~perfkit.models.gencast.task.dimensions_of`."""

_STEP_SECONDS = STEP_HOURS * 3600


@dataclass(frozen=True, eq=False)
class Example:
    """Frames of the atmosphere on a grid, 12 hours apart.

    Attributes
    ----------
    fields
        Atmospheric variables ``[batch, time, level, lat, lon]``, surface variables
        ``[batch, time, lat, lon]``, static variables ``[lat, lon]``, and the forcings if the file
        has them; float32, SI units.
    lat, lon
        Coordinates of the grid in degrees, float32.
    seconds
        Time of every frame in seconds since 1970-01-01T00, int64 ``[batch, time]``.
    """

    fields: Fields
    lat: NDArray[np.float32]
    lon: NDArray[np.float32]
    seconds: NDArray[np.int64]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.seconds.shape[1])

    def only_frames(self, first: int, last: int) -> Example:
        """Return the frames from ``first`` up to, but not including, ``last``."""
        fields = {
            name: array if name in STATIC_VARIABLES else array[:, first:last]
            for name, array in self.fields.items()
        }
        return replace(self, fields=fields, seconds=self.seconds[:, first:last])


@dataclass(frozen=True, eq=False)
class Extracted:
    """Inputs, targets and forcings of a forecast.

    Attributes
    ----------
    inputs
        Two frames of every input variable.
    targets
        The frames to predict; empty if they are not known.
    forcings
        Forcings of the target times.
    lat, lon
        Coordinates of the grid in degrees, float32.
    target_seconds
        Target times in seconds since 1970-01-01T00, int64 ``[batch, steps]``.
    """

    inputs: Fields
    targets: Fields
    forcings: Fields
    lat: NDArray[np.float32]
    lon: NDArray[np.float32]
    target_seconds: NDArray[np.int64]


def read_example(path: Path, task: TaskConfig) -> Example:
    """Read and check an example dataset.

    A file without the dimension ``batch`` has one batch member. Times come from ``datetime``, or
    from ``time`` if its unit counts from a date.

    Parameters
    ----------
    path
        The NetCDF file.
    task
        Task that names the variables and levels.

    Raises
    ------
    UserError
        The file is missing, damaged or not NetCDF-4; lacks a variable, level or coordinate; has a
        time step other than 12 hours or an unsupported grid; or contains NaN in a variable that
        must not have missing values.
    """
    with open_dataset(path) as dataset:
        for coordinate in ("lat", "lon", "level", "time"):
            if coordinate not in dataset.variables:
                raise UserError(f"{path} lacks the coordinate {coordinate}")
        lat, lon = read_grid(dataset, path)
        seconds = _frame_seconds(dataset, path)
        names = _wanted(dataset, task)
        for name in names:
            _check_variable(dataset, name, path)
        sizes = (dataset.variables[name].size for name in names)
        refuse_larger_than_memory(8 * sum(sizes), str(path))
        levels = level_indices(dataset, task, path)
        fields = {name: _read_variable(dataset, name, levels, path) for name in names}
    example = Example(fields, lat.astype(np.float32), lon.astype(np.float32), seconds)
    check_missing_values(example, str(path))
    return example


def _wanted(dataset: xarray.Dataset, task: TaskConfig) -> list[str]:
    needed = dict.fromkeys((*task.input_variables, *task.target_variables))
    return [name for name in needed if name not in FORCING_VARIABLES or name in dataset]


def _check_variable(dataset: xarray.Dataset, name: str, path: Path) -> None:
    if name not in dataset.data_vars:
        unknown = [str(v) for v in dataset.data_vars if v not in _KNOWN]
        close = nearest(name, unknown)
        hint = f"; is its unknown variable {shown(close[0])} meant?" if close else ""
        raise UserError(f"{path} lacks the variable {name}{hint}")
    variable, dims = dataset.variables[name], dimensions_of(name)
    without_batch = tuple(dim for dim in dims if dim != "batch")
    allowed = dims if "batch" in dataset.sizes else without_batch
    if set(variable.dims) != set(allowed) or len(variable.dims) != len(allowed):
        found = shown(", ".join(map(str, variable.dims)))
        raise UserError(f"{path}: {name} has dimensions {found} instead of {', '.join(allowed)}")
    unit = str(variable.attrs.get("units", "")).strip()
    if unit.lower() in _FOREIGN_UNITS.get(name, ()):
        raise UserError(
            f"{path}: {name} has the unit {shown(unit)}; GenCast needs SI units (K, Pa, m, kg/kg)"
        )


def _read_variable(
    dataset: xarray.Dataset, name: str, levels: NDArray[np.int64], path: Path
) -> NDArray[np.float32]:
    stored, dims = dataset.variables[name].dims, dimensions_of(name)
    values = read_numbers(dataset, name, path)
    values = values.transpose([stored.index(dim) for dim in dims if dim in stored])
    if "batch" in dims and "batch" not in stored:
        values = values[None]
    if "level" in dims:
        values = values.take(levels, axis=dims.index("level"))
    # Values beyond float32 become infinite; check_missing_values refuses them.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


_KNOWN = frozenset((*TaskConfig().input_variables, *TaskConfig().target_variables, "datetime"))


_CELSIUS = ("c", "degc", "deg c", "°c", "celsius", "degree_celsius", "degrees_celsius")
_FOREIGN_UNITS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("2m_temperature", "temperature", MASKED_VARIABLE), _CELSIUS),
    "mean_sea_level_pressure": ("hpa", "mbar", "mb", "millibar", "millibars", "kpa"),
    "geopotential": ("m", "gpm", "km"),
    "geopotential_at_surface": ("m", "gpm", "km"),
    "specific_humidity": ("g/kg", "g kg-1", "g kg**-1"),
    "vertical_velocity": ("m/s", "m s-1", "m s**-1", "hpa s-1", "hpa s**-1"),
    PRECIPITATION: ("mm", "kg m-2", "kg m**-2"),
}
"""Variable -> units, in lower case, that other data sets use for it and the model cannot read."""


def read_grid(
    dataset: xarray.Dataset, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read and check the grid of a dataset.

    Returns
    -------
    lat, lon
        Coordinates in degrees, float64.

    Raises
    ------
    UserError
        A coordinate is missing, has another shape, or does not pass :func:`check_grid`.
    """
    for name in ("lat", "lon"):
        if name not in dataset.variables:
            raise UserError(f"{path} lacks the coordinate {name}")
        variable = dataset.variables[name]
        if variable.dims != (name,) or variable.size > _MOST_RINGS:
            raise UserError(
                f"{path}: {name} has shape {shown(dict(variable.sizes))}; it must have the "
                f"dimension {name} and at most {_MOST_RINGS} values"
            )
    lat, lon = (read_numbers(dataset, name, path).astype(np.float64) for name in ("lat", "lon"))
    check_grid(lat, lon, str(path))
    return lat, lon


_MOST_RINGS = 14400
"""Most values of a coordinate: the longitudes of a grid ten times finer than 0.25 degrees."""


def _frame_seconds(dataset: xarray.Dataset, path: Path) -> NDArray[np.int64]:
    """Read the time of every frame in seconds, ``[batch, time]``; refuse steps but 12 hours."""
    frames = dataset.variables["time"].size
    if frames < INPUT_FRAMES:
        raise UserError(f"{path} has {frames} frame; a forecast needs {INPUT_FRAMES} frames")
    if not is_absolute(dataset, "time"):
        _check_steps(duration_seconds(dataset, "time", path), path)
    name = "datetime" if "datetime" in dataset.variables else "time"
    if name == "time" and not is_absolute(dataset, "time"):
        raise UserError(f"{path} lacks the coordinate datetime")
    dims = dataset.variables[name].dims
    if sorted(map(str, dims)) not in (["time"], ["batch", "time"]):
        found = shown(", ".join(map(str, dims)) or "none")
        raise UserError(f"{path}: {name} has dimensions {found} instead of batch, time")
    seconds = absolute_seconds(dataset, name, path)
    _check_steps(np.moveaxis(seconds, dims.index("time"), -1).astype(np.float64), path)
    if dims == ("time", "batch"):
        seconds = seconds.T
    batch = dataset.sizes.get("batch", 1)
    return np.ascontiguousarray(np.broadcast_to(seconds, (batch, frames)))


def _check_steps(seconds: NDArray[np.float64], path: Path) -> None:
    steps = np.diff(seconds, axis=-1).ravel()
    wrong = steps[~(np.abs(steps - _STEP_SECONDS) <= 1)]
    if wrong.size:
        raise UserError(
            f"{path} has frames {wrong[0] / 3600:g} hours apart; GenCast needs {STEP_HOURS} hours "
            "between all frames"
        )


_LARGEST_VALUE = 1e7
"""Largest plausible value. Geopotential in m2/s2 is below 1e6; NetCDF's default fill value is
1e37."""


def check_missing_values(example: Example, origin: str) -> None:
    """Refuse values that the model cannot use. Only sea-surface temperature may be NaN.

    Parameters
    ----------
    example
        The frames. Precipitation is not checked, because it is not an input.
    origin
        Name of their source, for messages.

    Raises
    ------
    UserError
        A variable has values that are not finite or larger than any value in SI units, or the
        sea-surface temperature is missing everywhere.
    """
    for name, array in example.fields.items():
        if name == PRECIPITATION:
            continue
        if name == MASKED_VARIABLE:
            if not np.isfinite(array).any():
                raise UserError(f"{origin}: {name} is missing at every point")
            bad = int(np.isinf(array).sum())
        else:
            bad = int((~np.isfinite(array)).sum())
        if bad:
            raise UserError(
                f"{origin}: {name} has {bad} values that are not finite; only {MASKED_VARIABLE} "
                "may be NaN"
            )
        largest = float(np.nanmax(np.abs(array), initial=0.0))
        if largest > _LARGEST_VALUE:
            raise UserError(
                f"{origin}: {name} reaches {largest:g}, which is too large for SI units; mark "
                "missing values with _FillValue"
            )


def _with_forcings(example: Example) -> dict[str, NDArray[np.float32]]:
    fields = dict(example.fields)
    for name, values in calendar_forcings(example.seconds, example.lon).items():
        fields.setdefault(name, values)
    return fields


def extract(example: Example, task: TaskConfig, steps: int) -> Extracted:
    """Extract inputs, targets and forcings of a forecast that ends at the last frame.

    Parameters
    ----------
    example
        The frames.
    task
        Task that names the variables.
    steps
        Number of 12-hour steps. The example must have two frames more.

    Raises
    ------
    UserError
        There are too few frames.
    """
    if example.frames < steps + INPUT_FRAMES:
        raise UserError(
            f"{steps} steps need {steps + INPUT_FRAMES} frames, but there are {example.frames}"
        )
    start = example.frames - steps - INPUT_FRAMES
    used = example.only_frames(start, example.frames)
    fields = _with_forcings(used)

    def frames(names: tuple[str, ...], which: slice) -> dict[str, NDArray[np.float32]]:
        return {
            name: fields[name] if name in STATIC_VARIABLES else fields[name][:, which]
            for name in names
        }

    known, wanted = slice(None, INPUT_FRAMES), slice(INPUT_FRAMES, None)
    return Extracted(
        inputs=frames(task.input_variables, known),
        targets=frames(task.target_variables, wanted),
        forcings=frames(task.forcing_variables, wanted),
        lat=example.lat,
        lon=example.lon,
        target_seconds=used.seconds[:, wanted],
    )


def forecast_inputs(example: Example, task: TaskConfig, steps: int) -> Extracted:
    """Extract inputs and forcings of a forecast that starts from the first two frames.

    If the example has enough frames, the frames after the first two are the targets. Otherwise
    there are no targets, and the forcings are computed from the calendar.

    Parameters
    ----------
    example
        The frames.
    task
        Task that names the variables.
    steps
        Number of 12-hour steps.
    """
    if example.frames >= steps + INPUT_FRAMES:
        return extract(example.only_frames(0, steps + INPUT_FRAMES), task, steps)
    start = extract(example.only_frames(0, INPUT_FRAMES), task, 0)
    ahead = _STEP_SECONDS * np.arange(1, steps + 1)
    seconds = example.seconds[:, INPUT_FRAMES - 1 : INPUT_FRAMES] + ahead
    forcings = calendar_forcings(seconds, example.lon)
    return replace(start, targets={}, forcings=forcings, target_seconds=seconds)


def seconds_of(moment: ArrayLike) -> NDArray[np.int64]:
    """Convert anything that ``numpy.datetime64`` accepts to seconds since 1970-01-01T00."""
    return np.asarray(moment, "datetime64[s]").astype(np.int64)
