"""Interval arithmetic in float64: which results of a float32 or bfloat16 program rounding explains.

Independent of the guard's own bounds: intervals instead of running errors, NumPy instead of JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ULPS = 4.0
"""Units of roundoff by which every operation and every argument may be off."""

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Span(NamedTuple):
    """The values that rounding explains.

    Attributes
    ----------
    low, high
        The interval of all values that rounding can lead to.
    exact
        The value in float64; NaN outside a domain.
    bad
        Whether the value must be NaN, because an operand left its domain by more than rounding.
    free
        Whether the value may be anything, because of a division by a possible zero.
    """

    low: Reals
    high: Reals
    exact: Reals
    bad: Flags
    free: Flags


class Oracle:
    """The operations of the random programs, on intervals.

    Parameters
    ----------
    roundoff
        Unit roundoff of the program's precision: half a unit in the last place of 1.
    """

    def __init__(self, roundoff: float) -> None:
        self.roundoff = roundoff

    def leaf(self, values: Reals) -> Span:
        no = np.zeros(values.shape, bool)
        return self._rounded(values, values, values, no, no)

    def add(self, a: Span, b: Span) -> Span:
        return self._of(a, b, a.low + b.low, a.high + b.high, a.exact + b.exact)

    def sub(self, a: Span, b: Span) -> Span:
        return self._of(a, b, a.low - b.high, a.high - b.low, a.exact - b.exact)

    def mul(self, a: Span, b: Span) -> Span:
        ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return self._of(a, b, np.min(ends, 0), np.max(ends, 0), a.exact * b.exact)

    def div(self, a: Span, b: Span) -> Span:
        unknown = (b.low <= 0) & (b.high >= 0)
        ends = [x / y for x in (a.low, a.high) for y in (b.low, b.high)]
        span = self._of(a, b, np.min(ends, 0), np.max(ends, 0), a.exact / b.exact)
        return span._replace(free=span.free | unknown)

    def square(self, a: Span) -> Span:
        ends = np.array([a.low**2, a.high**2])
        low = np.where((a.low < 0) & (a.high > 0), 0, ends.min(0))
        return self._of(a, a, low, ends.max(0), a.exact**2)

    def scale(self, a: Span, factor: float) -> Span:
        return self.mul(a, self.leaf(np.full(a.exact.shape, factor)))

    def shift(self, a: Span, by: float) -> Span:
        return self.add(a, self.leaf(np.full(a.exact.shape, by)))

    def floor(self, a: Span, at: float) -> Span:
        return self._of(
            a, a, np.maximum(a.low, at), np.maximum(a.high, at), np.maximum(a.exact, at)
        )

    def mean(self, a: Span) -> Span:
        def over(values: Any) -> Any:
            return np.broadcast_to(values.mean(), values.shape)

        size = np.maximum(np.abs(a.low), np.abs(a.high))
        extra = over(size) * ULPS * self.roundoff
        span = self._of(a, a, over(a.low) - extra, over(a.high) + extra, over(a.exact))
        bad, free = np.full_like(a.bad, a.bad.any()), np.full_like(a.free, a.free.any())
        return span._replace(bad=bad, free=free)

    def sqrt(self, a: Span) -> Span:
        return self._limited(a, np.sqrt, low=0.0)

    def rsqrt(self, a: Span) -> Span:
        return self._limited(a, lambda x: 1 / np.sqrt(x), low=0.0, falls=True)

    def log(self, a: Span) -> Span:
        return self._limited(a, np.log, low=0.0)

    def arccos(self, a: Span) -> Span:
        return self._limited(a, np.arccos, low=-1.0, high=1.0, falls=True)

    def _limited(
        self,
        a: Span,
        function: Callable[[Reals], Reals],
        low: float,
        high: float = np.inf,
        falls: bool = False,
    ) -> Span:
        ends = function(np.clip(a.low, low, high)), function(np.clip(a.high, low, high))
        first, last = ends[::-1] if falls else ends
        inside = (a.exact >= low) & (a.exact <= high)
        exact = np.where(inside, function(np.clip(a.exact, low, high)), np.nan)
        span = self._of(a, a, first, last, exact)
        # A value computed from a NaN that must be NaN must be NaN, too; it has no other limits.
        return span._replace(bad=span.bad | ((a.high < low) | (a.low > high)) & ~span.free)

    def _of(self, a: Span, b: Span, low: Reals, high: Reals, exact: Reals) -> Span:
        return self._rounded(low, high, exact, a.bad | b.bad, a.free | b.free)

    def _rounded(self, low: Reals, high: Reals, exact: Reals, bad: Flags, free: Flags) -> Span:
        size = np.maximum(np.abs(low), np.abs(high))
        slack = np.where(np.isfinite(size), ULPS * self.roundoff * size, 0)
        return Span(low - slack, high + slack, exact, bad, free)
