"""An estimate with the interval that covers it, or without one where the data support none."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
"""Coverage of every interval that perfkit prints."""


@dataclass(frozen=True)
class Interval:
    """An estimate, in the unit of what was measured, with a confidence interval where there is one.

    Attributes
    ----------
    median
        The estimate: a median, or for ratios the Hodges-Lehmann estimate of the median.
    low, high
        Ends of the interval; both None where the data support no interval, for example fewer than
        six independent measurements at 95 %.
    count
        Independent measurements (or pairs) behind the estimate.
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
        """Both ends of the interval, None where there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def scaled(self, factor: float) -> Interval:
        """The estimate and its interval multiplied by an exact positive number."""
        if self.low is None or self.high is None:
            return Interval(self.median * factor, None, None, self.count)
        return Interval(self.median * factor, self.low * factor, self.high * factor, self.count)

    def __mul__(self, other: Interval) -> Interval:
        """The product of two positive quantities; its interval is the widest there can be."""
        count = min(self.count, other.count)
        if self.ends is None or other.ends is None:
            return Interval(self.median * other.median, None, None, count)
        (low, high), (other_low, other_high) = self.ends, other.ends
        return Interval(self.median * other.median, low * other_low, high * other_high, count)

    @property
    def inverse(self) -> Interval:
        """One over a positive quantity."""
        if self.ends is None:
            return Interval(1 / self.median, None, None, self.count)
        low, high = self.ends
        return Interval(1 / self.median, 1 / high, 1 / low, self.count)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside the interval; False where there is no interval."""
        return self.surely_above(value) or self.surely_below(value)

    def surely_above(self, value: float) -> bool:
        """Whether the whole interval lies above ``value``; False where there is no interval."""
        return self.low is not None and self.low > value

    def surely_below(self, value: float) -> bool:
        """Whether the whole interval lies below ``value``; False where there is no interval."""
        return self.high is not None and self.high < value
