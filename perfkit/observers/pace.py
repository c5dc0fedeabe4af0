"""How often something costly is sampled, so that looking never takes a share that matters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.0025
"""Largest share of one CPU's time that one kind of sampling takes: two of them on one CPU stay
below the 1 % that all observers of the timed pass may cost together."""


class Pace:
    """Says when a sample is due; the interval stretches with what samples have cost.

    Parameters
    ----------
    least_s
        Interval where samples cost next to nothing.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._due_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether the next sample should be taken now."""
        return now_s >= self._due_s

    @contextmanager
    def sampling(self, now_s: float) -> Iterator[None]:
        """Take a sample in the block; its CPU time sets when the next one is due."""
        begin_s = time.thread_time()
        yield
        cost_s = time.thread_time() - begin_s
        self._due_s = now_s + max(self._least_s, cost_s / SHARE)
