"""The exchange rate of time and memory: what needs more memory has to win by more."""

from __future__ import annotations

import math

SAME_MEMORY = 1.05
"""Memory peaks within this factor count as equal: two runs of one program differ by as much."""

DEFAULT_MEMORY_EXCHANGE = 0.03
"""Share of time that a doubling of the peak memory has to save.

This is 1 % for 25 % more memory. Intervals from six pairs of fresh processes are some percent wide,
so that a smaller gain for twice the memory is hardly a gain. AlphaFold 3 with its parameters as
constants of the program, for example, needs 2.7 times the memory, and has to be 4.4 % faster for
it. The rate is low because memory that lies idle on a machine of one's own costs nothing; the
objective ``cost`` takes the price of rented memory."""


def least_gain(ratio: float, exchange: float = DEFAULT_MEMORY_EXCHANGE) -> float:
    """The smallest ratio of times at which a configuration that needs more memory wins.

    It is ``(1 + exchange) ** log2(ratio)``: a power law, so that two steps of memory together have
    to gain as much as one step of the same size.

    Parameters
    ----------
    ratio
        Peak memory over that of the other configuration. Ratios up to :data:`SAME_MEMORY`, and
        less memory, need no gain: the result is 1.
    exchange
        Share of time that a doubling has to save.

    Examples
    --------
    >>> round(least_gain(2.0), 3)
    1.03
    >>> least_gain(0.5)
    1.0
    """
    return math.exp(math.log1p(exchange) * math.log2(ratio)) if ratio > SAME_MEMORY else 1.0
