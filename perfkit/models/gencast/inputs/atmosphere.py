"""A synthetic atmosphere: seeded, smooth on the sphere, with realistic means and spreads.

It does not represent any weather. With it, a forecast can be run, timed and checked without a
download: its values have the magnitude, the smoothness and the missing cells of real inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.inputs.dataset import Example, Fields, extract, seconds_of
from perfkit.models.gencast.inputs.statistics import Statistics
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.gencast.sphere.legendre import associated_legendre
from perfkit.models.gencast.task import (
    INPUT_FRAMES,
    MASKED_VARIABLE,
    PRECIPITATION,
    PRESSURE_LEVELS_HPA,
    STATIC_VARIABLES,
    STEP_HOURS,
    TaskConfig,
)

SYNTHETIC_INPUT_NOTICE = "the atmosphere is synthetic: the forecast says nothing about any weather"

START = "2019-03-29T00"
"""Time of the first frame."""

_DEGREES = 32
"""Number of degrees of the smooth fields: features of about 600 km at every resolution."""

_LAND_SHARE = 0.29
"""Share of the sphere that is land."""

_FREEZING_SEA_K = 271.35
"""Freezing point of sea water in K."""

_GRAVITY = 9.80665
"""Standard gravity in m/s2."""

_MEAN_RAIN_M, _RAIN_SPREAD_M = 1.2e-3, 2.7e-3
"""Mean and standard deviation of 12-hour precipitation in m."""

_STATISTICS_RESOLUTION = 6.0
"""Grid spacing in degrees on which statistics are computed."""

_PRESSURE = np.array(PRESSURE_LEVELS_HPA, np.float64)[:, None, None]


@dataclass(frozen=True)
class _Smooth:
    """Draws smooth fields of unit variance; equal seeds give the same fields on all grids."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    legendre: NDArray[np.float64]
    seed: int

    @classmethod
    def on(cls, lat: NDArray[np.float32], lon: NDArray[np.float32], seed: int) -> _Smooth:
        latitudes = np.deg2rad(lat.astype(np.float64))
        table = associated_legendre(_DEGREES, np.sin(latitudes))
        return cls(latitudes, np.deg2rad(lon.astype(np.float64)), table, seed)

    def field(self, *stream: int) -> NDArray[np.float64]:
        """Draw ``[lat, lon]``; the power falls with the degree as in synoptic fields."""
        generator = np.random.default_rng([self.seed, *stream])
        degrees = np.arange(_DEGREES)
        power = np.where(degrees > 0, (degrees + 3.0) ** -3, 0.0)
        amplitude = np.sqrt(4 * np.pi * power / ((2 * degrees + 1) * power.sum()))
        cosine, sine = generator.standard_normal((2, _DEGREES, _DEGREES)) * amplitude
        orders = np.arange(_DEGREES)
        norm = np.where(orders > 0, 1 / np.sqrt(np.pi), 1 / np.sqrt(2 * np.pi))[:, None]
        angles = orders[:, None] * self.lon
        even, odd = (np.einsum("ml,mlj->jm", a, self.legendre) for a in (cosine, sine))
        drawn: NDArray[np.float64] = even @ (norm * np.cos(angles)) + odd @ (norm * np.sin(angles))
        return drawn

    def moving(self, persistence: float, frames: int, *stream: int) -> NDArray[np.float64]:
        """Draw ``[frames, lat, lon]``; the correlation of successive frames is ``persistence``."""
        fresh = np.sqrt(1 - persistence**2)
        states = [self.field(*stream, 0)]
        for frame in range(1, frames):
            states.append(persistence * states[-1] + fresh * self.field(*stream, frame))
        return np.stack(states)

    def deep(self, persistence: float, frames: int, stream: int) -> NDArray[np.float64]:
        """Draw ``[frames, level, lat, lon]`` from vertical modes over the logarithm of pressure."""
        height = np.log(1000 / _PRESSURE[:, 0, 0]) / np.log(20)
        modes = np.stack([np.cos(np.pi * k * height) for k in range(3)])
        modes /= np.linalg.norm(modes, axis=0)
        moving = np.stack([self.moving(persistence, frames, stream, k) for k in range(3)])
        deep: NDArray[np.float64] = np.einsum("kz,ktji->tzji", modes, moving)
        return deep


def _by_level(*values: float) -> NDArray[np.float64]:
    return np.array(values)[:, None, None]


_TEMPERATURE_K = _by_level(212, 206, 212, 218, 223, 229, 243, 253, 262, 268, 275, 278, 281)
_TEMPERATURE_SPREAD_K = _by_level(4.5, 4, 4, 3.5, 3, 3, 3.5, 3.7, 3.8, 4, 4.5, 4.8, 5)
_GEOPOTENTIAL_KM = _by_level(20.6, 16.4, 13.9, 12.1, 10.6, 9.4, 7.4, 5.7, 4.3, 3.1, 1.5, 0.8, 0.1)
_HUMIDITY = _by_level(
    2.7e-6,
    2.6e-6,
    5.7e-6,
    1.9e-5,
    5.8e-5,
    1.3e-4,
    3.9e-4,
    8.6e-4,
    1.6e-3,
    2.5e-3,
    4.6e-3,
    6e-3,
    7e-3,
)
_ZONAL_WIND_M_S = _by_level(6, 11, 15, 16, 14, 12, 9, 6.5, 4.8, 3.3, 1.4, 0.6, -0.1)
_WIND_SPREAD_M_S = _by_level(9, 9, 11, 12, 12, 11, 9, 7.5, 6.5, 6, 6, 6, 5)
_ASCENT_SPREAD_PA_S = _by_level(
    0.006, 0.02, 0.04, 0.07, 0.10, 0.13, 0.17, 0.19, 0.19, 0.18, 0.15, 0.11, 0.05
)
"""Rounded climatological values of reanalyses at the 13 levels, 50 to 1000 hPa."""


def synthetic_atmosphere(resolution: float, seed: int = 0, frames: int = INPUT_FRAMES) -> Example:
    """Make frames of the synthetic atmosphere, 12 hours apart.

    Parameters
    ----------
    resolution
        Grid spacing in degrees.
    seed
        Seed of the state. Equal seeds give the same state on every grid.
    frames
        Number of frames.

    Raises
    ------
    UserError
        The resolution does not divide the sphere.
    """
    lat, lon = regular_grid(resolution)
    smooth = _Smooth.on(lat, lon, seed)
    height = smooth.field(0)
    coast = _coast(seed)
    land = height > coast
    equatorward = np.cos(smooth.lat)[:, None] ** 2
    jets = np.sin(2 * smooth.lat)[:, None] ** 2

    def frame_fields(values: NDArray[np.float64]) -> NDArray[np.float32]:
        return values.astype(np.float32)[None]

    def surface(
        mean: NDArray[np.float64] | float, spread: float, stream: int, keep: float
    ) -> NDArray[np.float64]:
        return mean + spread * smooth.moving(keep, frames, stream)

    def deep(
        mean: NDArray[np.float64], spread: NDArray[np.float64] | float, stream: int, keep: float
    ) -> NDArray[np.float64]:
        return mean + spread * smooth.deep(keep, frames, stream)

    troposphere = np.clip((_PRESSURE - 150) / 850, -0.3, 1)
    sea = np.maximum(surface(270 + 31 * equatorward, 1.5, 6, 0.995), _FREEZING_SEA_K)
    fields: dict[str, NDArray[np.float32]] = {
        "2m_temperature": frame_fields(surface(256 + 44 * equatorward, 5, 1, 0.9)),
        "mean_sea_level_pressure": frame_fields(surface(1.0115e5, 950, 2, 0.85)),
        "10m_v_component_of_wind": frame_fields(surface(0.2, 4.2, 3, 0.75)),
        "10m_u_component_of_wind": frame_fields(surface(9 * jets - 5, 4.2, 4, 0.75)),
        PRECIPITATION: frame_fields(
            _MEAN_RAIN_M * np.exp(1.2 * smooth.moving(0.5, frames, 5) - 0.72)
        ),
        MASKED_VARIABLE: frame_fields(np.where(land, np.nan, sea)),
        "temperature": frame_fields(
            deep(
                _TEMPERATURE_K + 36 * troposphere * (equatorward - 2 / 3),
                _TEMPERATURE_SPREAD_K,
                7,
                0.93,
            )
        ),
        "geopotential": frame_fields(
            _GRAVITY
            * deep(
                1000 * _GEOPOTENTIAL_KM + 900 * (1.2 - troposphere) * (equatorward - 2 / 3),
                80.0 + 120 * (1 - troposphere),
                8,
                0.93,
            )
        ),
        "u_component_of_wind": frame_fields(
            deep(2 * _ZONAL_WIND_M_S * jets, _WIND_SPREAD_M_S, 9, 0.85)
        ),
        "v_component_of_wind": frame_fields(deep(0 * _PRESSURE, _WIND_SPREAD_M_S, 10, 0.8)),
        "vertical_velocity": frame_fields(deep(0 * _PRESSURE, _ASCENT_SPREAD_PA_S, 11, 0.45)),
        "specific_humidity": frame_fields(
            _HUMIDITY * np.exp(deep(1.8 * (equatorward - 2 / 3), 0.35, 12, 0.9))
        ),
        "geopotential_at_surface": np.where(land, 9000 * (height - coast), 0).astype(np.float32),
        "land_sea_mask": land.astype(np.float32),
    }
    first = seconds_of(START)
    seconds = first + STEP_HOURS * 3600 * np.arange(frames, dtype=np.int64)[None]
    return Example(fields, lat, lon, seconds)


def _coast(seed: int) -> float:
    """Return the height above which the land share of the sphere lies, from a fixed grid."""
    smooth = _Smooth.on(*regular_grid(_STATISTICS_RESOLUTION), seed)
    height = smooth.field(0)
    weights = np.broadcast_to(np.cos(smooth.lat)[:, None], height.shape).ravel()
    order = np.argsort(height.ravel())
    share = np.cumsum(weights[order]) / weights.sum()
    return float(height.ravel()[order][np.searchsorted(share, 1 - _LAND_SHARE)])


def synthetic_statistics(task: TaskConfig, seed: int = 0) -> Statistics:
    """Compute area-weighted means and spreads of the synthetic atmosphere on a coarse grid."""
    example = synthetic_atmosphere(_STATISTICS_RESOLUTION, seed, INPUT_FRAMES)
    inputs = extract(example, task, 0).inputs
    area = np.cos(np.deg2rad(example.lat.astype(np.float64)))[:, None]

    def over_points(
        fields: Fields, reduce: Callable[[NDArray[np.float64]], NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        return {name: reduce(array.astype(np.float64)) for name, array in fields.items()}

    def mean(array: NDArray[np.float64]) -> NDArray[np.float32]:
        return _weighted(array, area).astype(np.float32)

    def spread(array: NDArray[np.float64]) -> NDArray[np.float32]:
        centre = _weighted(array, area)
        centred = array - (centre[:, None, None] if centre.ndim else centre)
        return np.sqrt(_weighted(centred**2, area)).astype(np.float32)

    changing = {
        name: np.diff(inputs[name], axis=1)
        for name in task.target_variables
        if name in inputs and name not in STATIC_VARIABLES
    }
    # Two frames do not cover a year; these are the statistics of a sine over a full circle.
    circle = dict.fromkeys(task.forcing_variables, np.float32(0))
    circle_spread = dict.fromkeys(task.forcing_variables, np.float32(np.sqrt(0.5)))
    rain_mean, rain_spread = np.float32(_MEAN_RAIN_M), np.float32(_RAIN_SPREAD_M)
    return Statistics(
        mean=over_points(inputs, mean) | circle | {PRECIPITATION: rain_mean},
        spread=over_points(inputs, spread) | circle_spread | {PRECIPITATION: rain_spread},
        change_spread=over_points(changing, spread),
        fill=np.float32(_FREEZING_SEA_K),
    )


def _weighted(array: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the area-weighted mean over all axes but the levels, without missing cells."""
    if array.ndim < 4 and array.shape[-2:-1] != (len(area),):
        return np.asarray(array.mean())
    keep = np.isfinite(array)
    weights = np.where(keep, area, 0.0)
    axes = (0, 1, 3, 4) if array.ndim == 5 else None
    return np.asarray((np.where(keep, array, 0.0) * weights).sum(axes) / weights.sum(axes))
