"""Makes and checks the latitude-longitude grids of the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perfkit.errors import UserError

_TOLERANCE_DEGREES = 1e-3
"""Deviation of a coordinate that is still regular."""


def regular_grid(resolution: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make a grid with both poles.

    Parameters
    ----------
    resolution
        Grid spacing in degrees.

    Returns
    -------
    lat, lon
        Ascending latitudes from -90 and longitudes from 0 in degrees, float32.

    Raises
    ------
    UserError
        The resolution does not divide 180 degrees, or leaves fewer than four latitude rings.
    """
    rings = 180 / resolution if resolution > 0 else 0.0
    if rings < 3 or abs(rings - round(rings)) > 1e-9 * rings:
        raise UserError(
            f"a resolution of {resolution:g} degrees does not divide the sphere; use one that "
            "divides 180, such as 0.25, 1, 2 or 10"
        )
    steps = round(rings)
    lat = np.linspace(-90, 90, steps + 1).astype(np.float32)
    lon = (np.arange(2 * steps) * resolution).astype(np.float32)
    return lat, lon


def check_grid(lat: ArrayLike, lon: ArrayLike, origin: str) -> None:
    """Refuse coordinates for which noise and geometry are not defined.

    Parameters
    ----------
    lat, lon
        Coordinates in degrees.
    origin
        Name of their source, for messages.

    Raises
    ------
    UserError
        Latitudes are reversed or not equally spaced from pole to pole (or from half a step before
        the poles), or longitudes do not cover the circle from 0 in the same steps.
    """
    lats, lons = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    if len(lats) < 4 or len(lons) < 6:
        raise UserError(f"{origin}: a grid needs at least 4 latitudes and 6 longitudes")
    steps = np.diff(lats)
    if steps[0] < 0:
        raise UserError(
            f"{origin}: latitudes are reversed; they must ascend from -90 to 90 "
            "(with xarray: dataset.sortby('lat'))"
        )
    step = 360 / len(lons)
    # The negated comparison also refuses NaN.
    if not np.abs(steps - step).max() <= _TOLERANCE_DEGREES:
        raise UserError(
            f"{origin}: latitudes are not equidistant in the steps of the longitudes "
            f"({step:g} degrees)"
        )
    first = lats[0] + 90
    at_poles = min(abs(first), abs(first - step / 2)) <= _TOLERANCE_DEGREES
    if not (at_poles and abs(lats[-1] + lats[0]) <= _TOLERANCE_DEGREES):
        raise UserError(
            f"{origin}: latitudes must reach both poles, or end half a step before them"
        )
    if not np.abs(lons - step * np.arange(len(lons))).max() <= _TOLERANCE_DEGREES:
        raise UserError(
            f"{origin}: longitudes must start at 0 and cover the circle evenly (with xarray: "
            "dataset.assign_coords(lon=dataset.lon % 360).sortby('lon'))"
        )
