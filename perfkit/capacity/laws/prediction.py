"""Predictions with intervals, and their errors on runs that a fit has not seen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Self

from pydantic import model_validator
from scipy.special import stdtrit

from perfkit.capacity.bounds import FileData, Finite, Positive

COVERAGE = 0.90
"""Nominal coverage of prediction intervals."""

WIDEST = 1e6
"""Largest factor between a prediction and an end of its interval; a wider one is useless."""


class Range(FileData):
    """A prediction with its interval, whose nominal coverage is :data:`COVERAGE`.

    Attributes
    ----------
    value
        Prediction in seconds or bytes.
    low, high
        Ends of the interval.
    """

    value: Finite
    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError("expected low, value and high in ascending order")
        return self


def range_around(total: float, relative: float, freedom: int) -> Range:
    """Return a prediction with its interval, log-normal with Student's t.

    Parameters
    ----------
    total
        Prediction, greater than 0.
    relative
        Relative standard deviation of the prediction.
    freedom
        Degrees of freedom of the deviation.
    """
    half = float(stdtrit(max(1, freedom), (1 + COVERAGE) / 2)) * relative
    half = min(half, math.log(WIDEST))
    return Range(value=total, low=total * math.exp(-half), high=total * math.exp(half))


def relative_range(times: Iterable[Range]) -> tuple[float, float]:
    """Return the interval of a sum of times, as factors on it.

    The times rest on the same laws and share their errors, so that the errors do not average out:
    the ends are the sums of all low and of all high ends.
    """
    ranges = list(times)
    total = sum(each.value for each in ranges)
    if total <= 0:
        return 1.0, 1.0
    return sum(each.low for each in ranges) / total, sum(each.high for each in ranges) / total


class HeldOut(FileData):
    """A prediction for a run that the fit has not seen, and its measurement.

    Attributes
    ----------
    quantity
        ``time`` in seconds, or ``memory`` in bytes.
    place
        ``within`` the range of sizes that was fitted, or ``beyond`` it.
    size
        Value of the size feature.
    predicted, measured
        Prediction and measurement.
    """

    quantity: str
    place: str
    size: Positive
    predicted: Range
    measured: Positive

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted.value / self.measured - 1.0

    @property
    def inside(self) -> bool:
        """Whether the interval contains the measurement."""
        return self.predicted.low <= self.measured <= self.predicted.high
