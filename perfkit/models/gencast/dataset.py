"""Example datasets in the published NetCDF layout, and what a forecast takes from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perfkit.errors import UserError, nearest
from perfkit.models.gencast.forcings import calendar_forcings
from perfkit.models.gencast.grid import check_grid
from perfkit.models.gencast.netcdf import open_dataset
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

_UNIT_SECONDS = {
    "nanoseconds": 1e-9,
    "microseconds": 1e-6,
    "milliseconds": 1e-3,
    "seconds": 1,
    "minutes": 60,
    "hours": 3600,
    "days": 86400,
}
_STEP_SECONDS = STEP_HOURS * 3600


@dataclass(frozen=True, eq=False)
class Example:
    """Frames of the atmosphere on a grid, 12 hours apart.

    Attributes
    ----------
    fields
        Atmospheric variables ``[batch, time, level, lat, lon]``, surface ones
        ``[batch, time, lat, lon]``, static ones ``[lat, lon]``, and forcings if the file has
        them; float32, SI units.
    lat, lon
        Degrees, float32.
    seconds
        Time of every frame, seconds since 1970-01-01T00, int64 ``[batch, time]``.
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
        """The frames from ``first`` up to but without ``last``."""
        fields = {
            name: array if name in STATIC_VARIABLES else array[:, first:last]
            for name, array in self.fields.items()
        }
        return replace(self, fields=fields, seconds=self.seconds[:, first:last])


@dataclass(frozen=True, eq=False)
class Extracted:
    """What the model is given and what it is to predict.

    Attributes
    ----------
    inputs
        Two frames of every input variable.
    targets
        The frames to predict; empty where they are not known.
    forcings
        The forcings of the target times.
    target_seconds
        Target times, seconds since 1970-01-01T00, int64 ``[batch, steps]``.
    """

    inputs: Fields
    targets: Fields
    forcings: Fields
    lat: NDArray[np.float32]
    lon: NDArray[np.float32]
    target_seconds: NDArray[np.int64]


def read_example(path: Path, task: TaskConfig) -> Example:
    """Read and check an example dataset.

    Raises
    ------
    UserError
        The file is missing or no NetCDF, lacks a variable, level or coordinate, has another time
        step than 12 hours, an unusable grid, or NaN where none may be.
    """
    with open_dataset(path) as dataset:
        for coordinate in ("lat", "lon", "level", "time", "datetime"):
            if coordinate not in dataset.variables:
                raise UserError(f"{path} lacks the coordinate {coordinate}")
        check_grid(dataset["lat"].values, dataset["lon"].values, str(path))
        _check_time_step(dataset["time"], path)
        fields = {
            name: _read_variable(dataset, name, task, path) for name in _wanted(dataset, task)
        }
        seconds = _absolute_seconds(dataset["datetime"], path)
        lat, lon = (np.asarray(dataset[name].values, np.float32) for name in ("lat", "lon"))
    example = Example(fields, lat, lon, seconds)
    check_missing_values(example, str(path))
    return example


def _wanted(dataset: xarray.Dataset, task: TaskConfig) -> list[str]:
    needed = dict.fromkeys((*task.input_variables, *task.target_variables))
    return [name for name in needed if name not in FORCING_VARIABLES or name in dataset]


def _read_variable(
    dataset: xarray.Dataset, name: str, task: TaskConfig, path: Path
) -> NDArray[np.float32]:
    if name not in dataset.data_vars:
        unknown = [str(v) for v in dataset.data_vars if v not in _KNOWN]
        close = nearest(name, unknown)
        hint = f"; is its unknown variable {close[0]} meant?" if close else ""
        raise UserError(f"{path} lacks the variable {name}{hint}")
    values = dataset[name]
    dims = dimensions_of(name)
    if set(values.dims) != set(dims):
        found = ", ".join(map(str, values.dims))
        raise UserError(f"{path}: {name} has dimensions {found} instead of {', '.join(dims)}")
    if "level" in dims:
        available = dataset["level"].values
        absent = [level for level in task.pressure_levels if level not in available]
        if absent:
            raise UserError(f"{path} lacks the level {absent[0]} hPa")
        values = values.sel(level=list(task.pressure_levels))
    return np.ascontiguousarray(values.transpose(*dims).values, np.float32)


_KNOWN = frozenset((*TaskConfig().input_variables, *TaskConfig().target_variables))


def _unit_seconds(unit: str, path: Path) -> float:
    for name, seconds in _UNIT_SECONDS.items():
        if unit.strip().lower() in (name, name[:-1]):
            return seconds
    raise UserError(f"{path} gives times in {unit!r}, which is no known unit")


def _check_time_step(time: xarray.DataArray, path: Path) -> None:
    unit = _unit_seconds(str(time.attrs.get("units", "hours")), path)
    seconds = np.atleast_1d(time.values) * unit
    if len(seconds) < INPUT_FRAMES:
        raise UserError(f"{path} has {len(seconds)} frame; a forecast starts from {INPUT_FRAMES}")
    if not np.allclose(np.diff(seconds), _STEP_SECONDS):
        step = np.diff(seconds)[0] / 3600
        raise UserError(
            f"{path} has frames {step:g} hours apart; GenCast needs {STEP_HOURS} hours throughout"
        )


def _absolute_seconds(datetime: xarray.DataArray, path: Path) -> NDArray[np.int64]:
    units = str(datetime.attrs.get("units", ""))
    match = re.fullmatch(r"(\w+) since (.+)", units)
    if match is None:
        raise UserError(f"{path} gives datetime in {units!r} instead of e.g. 'hours since ...'")
    try:
        origin = np.datetime64(match[2].strip().rstrip("Z"), "s").astype(np.int64)
    except ValueError as error:
        raise UserError(f"{path} counts datetime from {match[2]!r}, which is no date") from error
    offset = datetime.transpose("batch", "time").values * _unit_seconds(match[1], path)
    return np.asarray(np.round(offset), np.int64) + origin


def check_missing_values(example: Example, origin: str) -> None:
    """Refuse NaN or infinity in what the model reads, but for the sea-surface temperature's NaN.

    Raises
    ------
    UserError
        A variable has values that are not finite, or the sea-surface temperature is missing
        everywhere.
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
                f"{origin}: {name} has {bad} values that are not finite; only NaN in "
                f"{MASKED_VARIABLE} may be"
            )


def _with_forcings(example: Example) -> dict[str, NDArray[np.float32]]:
    fields = dict(example.fields)
    for name, values in calendar_forcings(example.seconds, example.lon).items():
        fields.setdefault(name, values)
    return fields


def extract(example: Example, task: TaskConfig, steps: int) -> Extracted:
    """Inputs, targets and forcings of a forecast that ends at the last frame.

    Parameters
    ----------
    steps
        Number of 12-hour steps; the example needs two frames more.

    Raises
    ------
    UserError
        There are too few frames.
    """
    if example.frames < steps + INPUT_FRAMES:
        raise UserError(
            f"{steps} steps need {steps + INPUT_FRAMES} frames, there are {example.frames}"
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
    """Inputs and forcings of a forecast from the first two frames, as far as is wanted.

    Frames after the first two are the targets where they reach ``steps``; otherwise there are
    none, and the forcings come from the calendar.
    """
    if example.frames >= steps + INPUT_FRAMES:
        return extract(example.only_frames(0, steps + INPUT_FRAMES), task, steps)
    start = extract(example.only_frames(0, INPUT_FRAMES), task, 0)
    ahead = _STEP_SECONDS * np.arange(1, steps + 1)
    seconds = example.seconds[:, INPUT_FRAMES - 1 : INPUT_FRAMES] + ahead
    forcings = calendar_forcings(seconds, example.lon)
    return replace(start, targets={}, forcings=forcings, target_seconds=seconds)


def seconds_of(moment: ArrayLike) -> NDArray[np.int64]:
    """Seconds since 1970-01-01T00 of anything ``numpy.datetime64`` understands."""
    return np.asarray(moment, "datetime64[s]").astype(np.int64)
