"""Reads times of any type and unit from NetCDF files, as whole seconds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.netcdf import read_numbers, shown

if TYPE_CHECKING:
    import xarray

_UNIT_SECONDS = {
    "nanoseconds": 1e-9,
    "microseconds": 1e-6,
    "milliseconds": 1e-3,
    "seconds": 1.0,
    "minutes": 60.0,
    "hours": 3600.0,
    "days": 86400.0,
}
_ABBREVIATIONS = {
    "ns": "nanoseconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "sec": "seconds",
    "min": "minutes",
    "h": "hours",
    "hr": "hours",
    "d": "days",
}
"""Symbols of UDUNITS, which the CF conventions allow -> unit. A final ``s`` is ignored."""

_HOUR_S = 3600
_COARSEST_S = 1800
"""Coarsest resolution of stored times. With a coarser one, rounding to the full hour could give
another hour."""

_FIRST_YEAR, _LAST_YEAR = 1678, 2261
"""First and last whole year that fit into 64-bit nanoseconds, which many programs use."""


def is_absolute(dataset: xarray.Dataset, name: str) -> bool:
    """Return whether a variable counts from a date ("hours since ...") instead of a duration."""
    return " since " in str(dataset.variables[name].attrs.get("units", ""))


def absolute_seconds(dataset: xarray.Dataset, name: str, path: Path) -> NDArray[np.int64]:
    """Read a variable that counts from a date, in seconds since 1970-01-01T00.

    Times that are stored as floats or packed are only as exact as their storage. If a time differs
    from a full hour by at most that resolution, it is rounded to the hour.

    Returns
    -------
    ndarray
        int64, in the shape of the variable.

    Raises
    ------
    UserError
        The unit, the date or the calendar is not supported; or a time is missing, outside the
        years 1678 to 2261, or stored too coarsely to distinguish hours.
    """
    attributes = dataset.variables[name].attrs
    units = str(attributes.get("units", ""))
    match = re.fullmatch(r"\s*(\w+)\s+since\s+(.+?)\s*", units)
    if match is None:
        raise UserError(
            f"{path}: {name} has the unit {shown(units)!r}; it must be like 'hours since ...'"
        )
    unit = _unit(match[1], path)
    values = read_numbers(dataset, name, path)
    values = values.astype(np.float64) if values.dtype.kind == "f" else values
    calendar = str(attributes.get("calendar", "standard"))
    exact = _decoded(values, f"{unit} since {_date(match[2], name, path)}", calendar, name, path)
    resolution_s = _resolution_s(dataset.variables[name], values, _UNIT_SECONDS[unit])
    if resolution_s > _COARSEST_S:
        raise UserError(
            f"{path} stores {name} as {dataset.variables[name].dtype} {shown(units)!r}, which "
            "is too coarse to distinguish hours; store it as int64"
        )
    hours = np.round(exact / _HOUR_S) * _HOUR_S
    return np.where(np.abs(exact - hours) <= resolution_s, hours, np.round(exact)).astype(np.int64)


def duration_seconds(dataset: xarray.Dataset, name: str, path: Path) -> NDArray[np.float64]:
    """Read a variable that holds durations, in seconds. Without a unit, it holds hours.

    Raises
    ------
    UserError
        The unit is unknown.
    """
    unit = _unit(str(dataset.variables[name].attrs.get("units", "hours")), path)
    return read_numbers(dataset, name, path).astype(np.float64) * _UNIT_SECONDS[unit]


def _unit(text: str, path: Path) -> str:
    word = text.strip()
    for plural in (word.lower(), f"{word.lower()}s"):
        if plural in _UNIT_SECONDS:
            return plural
    # Unlike words, symbols depend on case: "M" is not a minute.
    symbol = _ABBREVIATIONS.get(word) or _ABBREVIATIONS.get(word.removesuffix("s"))
    if symbol is None:
        raise UserError(f"{path} has times in the unknown unit {shown(text)!r}")
    return symbol


def _date(text: str, name: str, path: Path) -> str:
    # Programs disagree about other orders, e.g. "1/2/2000".
    if re.match(r"\d{4}(-\d{1,2}(-\d{1,2})?)?(\D|$)", text) is None:
        raise UserError(
            f"{path} counts {name} from {shown(text)!r}, which is not a date like 1900-01-01"
        )
    return text


def _decoded(
    values: NDArray[np.generic], units: str, calendar: str, name: str, path: Path
) -> NDArray[np.float64]:
    """Decode times to seconds since 1970-01-01T00, before rounding."""
    import xarray

    attributes = {"units": units, "calendar": calendar}
    flat = xarray.Variable(("value",), values.reshape(-1), attributes)
    try:
        coder = xarray.coders.CFDatetimeCoder(use_cftime=False, time_unit="s")
        moments = np.asarray(coder.decode(flat, name).values)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: {name} in {shown(units)!r} of the calendar {shown(calendar)!r} cannot be "
            "converted to dates of the standard calendar"
        ) from error
    if np.isnat(moments).any():
        raise UserError(f"{path} has a missing value in {name}")
    first, last = (np.datetime64(f"{year}-01-01") for year in (_FIRST_YEAR, _LAST_YEAR + 1))
    outside = moments[(moments < first) | (moments >= last)]
    if outside.size:
        raise UserError(
            f"{path}: {name} reaches {np.datetime_as_string(outside[0], 's')}, outside the "
            f"years {_FIRST_YEAR} to {_LAST_YEAR}"
        )
    since = moments - np.datetime64(0, "s")
    return np.asarray(since / np.timedelta64(1, "s"), np.float64).reshape(values.shape)


def _resolution_s(stored: xarray.Variable, values: NDArray[np.generic], unit_s: float) -> float:
    """Return the seconds between neighbouring stored values; 0 if they are exact."""
    scale = abs(float(stored.attrs.get("scale_factor", 1.0)))
    if stored.dtype.kind == "f":
        largest = np.abs(values.astype(np.float64)).max(initial=0.0) / (scale or 1.0)
        return scale * unit_s * float(np.spacing(largest.astype(stored.dtype)))
    whole_minutes = scale * unit_s / 60
    return 0.0 if whole_minutes == round(whole_minutes) or scale == 1 else scale * unit_s
