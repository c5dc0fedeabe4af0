"""Closed intervals of numbers, and their exact arithmetic up to the rounding of float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Range(NamedTuple):
    """A closed interval that holds every element that is a number.

    Attributes
    ----------
    low, high
        The ends; infinite if nothing is known.
    """

    low: float = -math.inf
    high: float = math.inf

    def join(self, other: Range) -> Range:
        """Return the smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def widen(self, other: Range) -> Range:
        """Return a range that holds both, whose ends moved to infinity if they moved at all.

        The value of a loop may grow in every iteration; its range must not take as many steps.
        """
        low = self.low if other.low >= self.low else -math.inf
        return Range(low, self.high if other.high <= self.high else math.inf)

    def is_within(self, low: float | None, high: float | None) -> bool:
        """Return whether no element is outside two edges; None means that there is no edge."""
        return (low is None or self.low >= low) and (high is None or self.high <= high)


ANYWHERE = Range()


def added(first: Range, second: Range) -> Range:
    """Return the range of a sum."""
    low, high = first.low + second.low, first.high + second.high
    # float64 rounds as well; the ends must not move inward.
    if math.isfinite(low) and math.fsum((first.low, second.low, -low)) < 0:
        low = math.nextafter(low, -math.inf)
    if math.isfinite(high) and math.fsum((first.high, second.high, -high)) > 0:
        high = math.nextafter(high, math.inf)
    return Range(low, high)


def negated(known: Range) -> Range:
    """Return the range of the negative numbers."""
    return Range(-known.high, -known.low)


def hull(candidates: Sequence[float]) -> Range:
    """Return the smallest range that holds some numbers; :data:`ANYWHERE` if one is NaN."""
    if any(map(math.isnan, candidates)):
        return ANYWHERE
    return Range(min(candidates), max(candidates))


def times(first: float, second: float) -> float:
    """Multiply two ends; zero times infinity is zero, as the other factor is a number."""
    return 0.0 if first == 0 or second == 0 else first * second


def product(first: Range, second: Range) -> Range:
    """Return the range of a product."""
    return hull([times(one, other) for one in first for other in second])


def sum_of_terms(term: Range, count: int, unit: float) -> Range:
    """Return the range of a sum of ``count`` terms, each within ``term``.

    The error of a sum of n terms is at most n u times the sum of their magnitudes (N. J. Higham,
    Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002, section 4.2), and a sum of terms
    that are not negative is not negative.

    Parameters
    ----------
    term
        The range of each term.
    count
        Number of terms, n.
    unit
        Largest relative error of one operation, u.
    """
    margin = count * unit * count * max(abs(term.low), abs(term.high))
    low, high = times(count, term.low) - margin, times(count, term.high) + margin
    low = max(low, 0.0) if term.low >= 0 else low
    return Range(low, min(high, 0.0) if term.high <= 0 else high)


def power(base: Range, exponent: int) -> Range:
    """Return the range of a power with an integer exponent."""
    if exponent < 0:
        if base.low <= 0 <= base.high:
            return ANYWHERE
        return power(Range(1 / base.high, 1 / base.low), -exponent)
    try:
        ends = hull([base.low**exponent, base.high**exponent])
    except OverflowError:
        return ANYWHERE
    if exponent % 2 == 0 and base.low <= 0 <= base.high:
        return Range(0.0, ends.high)
    return ends
