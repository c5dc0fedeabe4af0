"""Computes the forcings from the calendar: the progress of the year and of the day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SECONDS_PER_DAY = 86400
DAYS_PER_YEAR = 365.24219
"""Mean tropical year."""


def year_progress(seconds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute the elapsed fraction of the year for seconds since 1970-01-01T00; same shape."""
    years = seconds / SECONDS_PER_DAY / np.float64(DAYS_PER_YEAR)
    return np.mod(years, 1.0).astype(np.float32)


def day_progress(seconds: NDArray[np.int64], lon: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the elapsed fraction of the local solar day.

    Parameters
    ----------
    seconds
        Times in seconds since 1970-01-01T00.
    lon
        Longitudes in degrees, ``[nlon]``.

    Returns
    -------
    ndarray
        float32 ``[*seconds.shape, nlon]``.
    """
    greenwich = np.mod(seconds, SECONDS_PER_DAY) / SECONDS_PER_DAY
    offset = np.deg2rad(lon) / (2 * np.pi)
    return np.mod(greenwich[..., None] + offset, 1.0).astype(np.float32)


def _circle(name: str, progress: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    angle = progress * np.float32(2 * np.pi)
    return {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}


def calendar_forcings(
    seconds: NDArray[np.int64], lon: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Compute the four forcings.

    Parameters
    ----------
    seconds
        Times in seconds since 1970-01-01T00, ``[batch, time]``.
    lon
        Longitudes in degrees, ``[lon]``.

    Returns
    -------
    dict
        ``year_progress_*`` ``[batch, time]`` and ``day_progress_*`` ``[batch, time, lon]``,
        float32.
    """
    return _circle("year_progress", year_progress(seconds)) | _circle(
        "day_progress", day_progress(seconds, lon)
    )
