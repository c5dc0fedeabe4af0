"""A power law through measured points, with its band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from perfkit.stats.interval import CONFIDENCE, Interval

LEAST_POINTS = 3
"""Fewest points of a law: a line through two has no error."""

LEAST_FREEDOM = 2
"""Fewest degrees of freedom of an interval. With one, Student's quantile is 12.7, and the band
shows nothing."""

CURVE_POINTS = 40


class PowerLaw(NamedTuple):
    """``y = factor * x ** exponent``, with a band.

    Attributes
    ----------
    exponent
        The exponent, with its 95 % interval if there is one.
    x
        Places of the curve, evenly spaced on a logarithmic axis, shape (:data:`CURVE_POINTS`,).
    y
        The law at ``x``, in the unit of the measurements.
    low, high
        Ends of the 95 % interval of one further measurement at ``x``; empty without an interval.
    """

    exponent: Interval
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw | None:
    """Fit a power law by least squares on logarithms.

    Parameters
    ----------
    x, y
        Positive measurements, shape (points,) each.

    Returns
    -------
    PowerLaw or None
        None for fewer than :data:`LEAST_POINTS` different places.

    References
    ----------
    G. Seber and A. Lee, "Linear Regression Analysis", 2nd edition (2003), section 6.1: interval of
    the slope, and prediction interval of one further measurement.
    """
    if len(set(x)) < LEAST_POINTS or min(x) <= 0 or min(y) <= 0:
        return None
    places, values = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    middle = places.mean()
    spread = float(((places - middle) ** 2).sum())
    slope = float(((places - middle) * (values - values.mean())).sum()) / spread
    curve = np.linspace(places.min(), places.max(), CURVE_POINTS)
    fitted = values.mean() + slope * (curve - middle)
    freedom = len(places) - 2
    ends: tuple[float | None, float | None] = (None, None)
    low = high = np.empty(0)
    if freedom >= LEAST_FREEDOM:
        residuals = values - values.mean() - slope * (places - middle)
        sigma = math.sqrt(float((residuals**2).sum()) / freedom)
        quantile = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
        reach = quantile * sigma / math.sqrt(spread)
        ends = (slope - reach, slope + reach)
        band = quantile * sigma * np.sqrt(1 + 1 / len(places) + (curve - middle) ** 2 / spread)
        low, high = np.exp(fitted - band), np.exp(fitted + band)
    return PowerLaw(
        Interval(slope, *ends, len(places)),
        tuple(map(float, np.exp(curve))),
        tuple(map(float, np.exp(fitted))),
        tuple(map(float, low)),
        tuple(map(float, high)),
    )
