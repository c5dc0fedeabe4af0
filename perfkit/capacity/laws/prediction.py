"""Predictions with their intervals, and how they fared on runs that a fit has not seen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from scipy import stats

from perfkit.capacity.bounds import Finite, Positive

COVERAGE = 0.90
"""Share of measurements that the intervals are meant to hold."""

WIDEST = 1e6
"""Factor to either side at which an interval ends: beyond, a law says nothing."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Frozen):
    """A prediction with the interval that is meant to hold :data:`COVERAGE` of measurements."""

    value: Finite
    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError("expected low, value and high in ascending order")
        return self


def range_around(total: float, relative: float, freedom: int) -> Range:
    """The interval of a prediction.

    Parameters
    ----------
    total
        The prediction, more than 0.
    relative
        Its relative standard deviation.
    freedom
        Degrees of freedom that the deviation rests on.
    """
    half = float(stats.t.ppf((1 + COVERAGE) / 2, max(1, freedom))) * relative
    half = min(half, math.log(WIDEST))
    return Range(value=total, low=total * math.exp(-half), high=total * math.exp(half))


def relative_range(times: Iterable[Range]) -> tuple[float, float]:
    """The interval of a sum, as factors on it: every time at its low, or at its high end.

    All rest on the same laws, whose errors they share; they do not average out.
    """
    ranges = list(times)
    total = sum(each.value for each in ranges)
    if total <= 0:
        return 1.0, 1.0
    return sum(each.low for each in ranges) / total, sum(each.high for each in ranges) / total


class HeldOut(_Frozen):
    """One quantity predicted for a run that the fit has not seen.

    Attributes
    ----------
    quantity
        ``time`` (seconds) or ``memory`` (bytes).
    place
        ``within`` the measured range of sizes, or ``beyond`` it.
    """

    quantity: str
    place: str
    size: Positive
    predicted: Range
    measured: Positive

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted.value / self.measured - 1.0

    @property
    def inside(self) -> bool:
        """Whether the interval holds the measurement."""
        return self.predicted.low <= self.measured <= self.predicted.high
