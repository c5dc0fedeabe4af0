"""Intervals between costly samples, such that sampling takes a negligible share of a CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.0025
"""Largest share of the time of one CPU that one kind of sampling takes. The three kinds of the
timed pass stay below the 1 % that all of its observers may cost together."""


class Pace:
    """Decides when a sample is due; the interval grows with the cost of the last sample.

    Parameters
    ----------
    least_s
        Shortest interval in seconds.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._due_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether a sample is due at ``now_s``, on the clock that :meth:`sampling` gets."""
        return now_s >= self._due_s

    @contextmanager
    def sampling(self, now_s: float) -> Iterator[None]:
        """Context in which a sample is taken; its CPU time decides when the next one is due."""
        begin_s = time.thread_time()
        yield
        cost_s = time.thread_time() - begin_s
        self._due_s = now_s + max(self._least_s, cost_s / SHARE)
