"""A finished forecast, and its NetCDF file, which follows the CF conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfkit.files import ensure_room
from perfkit.models.gencast.task import ATMOSPHERIC_VARIABLES, PRECIPITATION, STEP_HOURS
from perfkit.packages import require_packages
from perfkit.version import __version__

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class VariableDescription:
    """Description of a variable in the terms of the CF conventions.

    Attributes
    ----------
    standard_name, units, long_name
        CF attributes.
    height_m
        Height above ground in metres; None if the variable has no fixed height.
    """

    standard_name: str
    units: str
    long_name: str
    height_m: float | None = None


DESCRIPTIONS: Mapping[str, VariableDescription] = {
    "2m_temperature": VariableDescription("air_temperature", "K", "temperature at 2 m", 2.0),
    "mean_sea_level_pressure": VariableDescription(
        "air_pressure_at_mean_sea_level", "Pa", "pressure at mean sea level"
    ),
    "10m_v_component_of_wind": VariableDescription(
        "northward_wind", "m s-1", "northward wind at 10 m", 10.0
    ),
    "10m_u_component_of_wind": VariableDescription(
        "eastward_wind", "m s-1", "eastward wind at 10 m", 10.0
    ),
    PRECIPITATION: VariableDescription(
        "lwe_thickness_of_precipitation_amount", "m", "precipitation of the last 12 hours"
    ),
    "sea_surface_temperature": VariableDescription(
        "sea_surface_temperature", "K", "temperature of the sea surface, missing over land"
    ),
    "temperature": VariableDescription("air_temperature", "K", "temperature"),
    "geopotential": VariableDescription("geopotential", "m2 s-2", "geopotential"),
    "u_component_of_wind": VariableDescription("eastward_wind", "m s-1", "eastward wind"),
    "v_component_of_wind": VariableDescription("northward_wind", "m s-1", "northward wind"),
    "vertical_velocity": VariableDescription(
        "lagrangian_tendency_of_air_pressure", "Pa s-1", "vertical velocity"
    ),
    "specific_humidity": VariableDescription("specific_humidity", "1", "specific humidity"),
}
"""Variable of the model -> its description."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Predicted fields with their coordinates.

    Attributes
    ----------
    fields
        Atmospheric variables ``[member, batch, step, level, lat, lon]``, the others
        ``[member, batch, step, lat, lon]``; float32, SI units.
    lat, lon
        Coordinates of the grid in degrees.
    levels
        Pressure levels in hPa.
    seconds
        Valid time of every step in seconds since 1970-01-01T00, int64 ``[batch, step]``.
    seed
        Seed of the noise.
    notices
        Sentences that a reader must know, e.g. that the weights are synthetic.
    """

    fields: Mapping[str, NDArray[np.float32]]
    lat: NDArray[np.float32]
    lon: NDArray[np.float32]
    levels: tuple[int, ...]
    seconds: NDArray[np.int64]
    seed: int = 0
    notices: Sequence[str] = ()


def as_dataset(forecast: Forecast) -> xarray.Dataset:
    """Convert a forecast to an xarray dataset with CF attributes.

    Raises
    ------
    MissingDependencyError
        xarray, h5netcdf or h5py is not installed.
    """
    require_packages("writing forecasts", ("xarray", "h5netcdf", "h5py"))
    import xarray

    steps = forecast.seconds.shape[1]
    coordinates = {
        "realization": (
            "realization",
            np.arange(len(next(iter(forecast.fields.values())))),
            {"standard_name": "realization", "units": "1"},
        ),
        "time": (
            "time",
            STEP_HOURS * np.arange(1, steps + 1),
            {"standard_name": "forecast_period", "units": "hours", "axis": "T"},
        ),
        "datetime": (
            ("batch", "time"),
            forecast.seconds,
            {
                "standard_name": "time",
                "units": "seconds since 1970-01-01 00:00:00",
                "calendar": "proleptic_gregorian",
            },
        ),
        "level": (
            "level",
            np.array(forecast.levels, np.int32),
            {"standard_name": "air_pressure", "units": "hPa", "positive": "down", "axis": "Z"},
        ),
        "lat": (
            "lat",
            forecast.lat,
            {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
        ),
        "lon": (
            "lon",
            forecast.lon,
            {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
        ),
    }
    return xarray.Dataset(
        {name: _variable(name, values) for name, values in forecast.fields.items()},
        coordinates,
        {
            "Conventions": "CF-1.11",
            "title": "GenCast forecast",
            "source": f"GenCast, computed by perfkit {__version__}",
            "noise_seed": forecast.seed,
            "comment": "; ".join(forecast.notices),
        },
    )


def _variable(
    name: str, values: NDArray[np.float32]
) -> tuple[tuple[str, ...], NDArray[np.float32], dict[str, str]]:
    level = ("level",) if name in ATMOSPHERIC_VARIABLES else ()
    described = DESCRIPTIONS[name]
    attributes = {
        "standard_name": described.standard_name,
        "units": described.units,
        "long_name": described.long_name,
    }
    if described.height_m is not None:
        attributes["height"] = f"{described.height_m:g} m above ground"
    if name == PRECIPITATION:
        attributes["cell_methods"] = "time: sum (interval: 12 hours)"
    return ("realization", "batch", "time", *level, "lat", "lon"), values, attributes


def write_forecast(forecast: Forecast, path: Path) -> None:
    """Write a forecast as NetCDF-4 with light compression.

    Raises
    ------
    OSError
        The file cannot be written. Lack of disk space is detected before writing.
    """
    dataset = as_dataset(forecast)
    ensure_room(path.parent, dataset.nbytes)
    encoding = {str(name): {"zlib": True, "complevel": 1} for name in dataset.data_vars}
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
