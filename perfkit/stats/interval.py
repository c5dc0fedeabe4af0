"""An estimate with its confidence interval, if the data support one."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
"""Nominal coverage of every interval that perfkit shows."""


@dataclass(frozen=True)
class Interval:
    """An estimate, in the unit of the measurements, with a confidence interval if there is one.

    Attributes
    ----------
    median
        The estimate: a median, or for ratios the Hodges-Lehmann estimate of the median.
    low, high
        Ends of the interval; both None if the data support no interval, for example because there
        are fewer than six independent measurements at 95 %.
    count
        Number of independent measurements, or of pairs, behind the estimate.
    """

    median: float
    low: float | None
    high: float | None
    count: int

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends of the interval; None if there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def inverse(self) -> Interval:
        """The interval of one over the quantity, which must be positive."""
        if self.ends is None:
            return Interval(1 / self.median, None, None, self.count)
        low, high = self.ends
        return Interval(1 / self.median, 1 / high, 1 / low, self.count)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside the interval; False without an interval."""
        return self.surely_above(value) or self.surely_below(value)

    def surely_above(self, value: float) -> bool:
        """Whether the whole interval lies above ``value``; False without an interval."""
        return self.low is not None and self.low > value

    def surely_below(self, value: float) -> bool:
        """Whether the whole interval lies below ``value``; False without an interval."""
        return self.high is not None and self.high < value
