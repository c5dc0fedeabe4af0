"""Intervals between costly samples, such that sampling takes a negligible share of a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
    cpu_clock
        Returns the CPU seconds of the calling thread.
    """

    def __init__(self, least_s: float, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        self._least_s, self._cpu_clock = least_s, cpu_clock
        self._due_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether a sample is due at ``now_s``, on the clock that :meth:`sampling` gets."""
        return now_s >= self._due_s

    @contextmanager
    def sampling(self, now_s: float) -> Iterator[None]:
        """Context in which a sample is taken; its CPU time decides when the next one is due."""
        begin_s = self._cpu_clock()
        yield
        cost_s = self._cpu_clock() - begin_s
        self._due_s = now_s + max(self._least_s, cost_s / SHARE)
