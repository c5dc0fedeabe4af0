"""The wall time that the workers of a study have been at work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Shift:
    """The time that one worker has been at work.

    Attributes
    ----------
    begin_s
        Its begin in seconds since the epoch, by the clock of its host. Hosts of a cluster agree
        within seconds, which is enough for budgets; nothing else depends on their clocks.
    length_s
        Its length in seconds, by a monotonic clock.
    """

    begin_s: float
    length_s: float


def spent_s(shifts: Iterable[Shift]) -> float:
    """Wall seconds during which at least one worker was at work.

    Parameters
    ----------
    shifts
        The shifts of all workers, which may overlap.
    """
    total_s, until_s = 0.0, float("-inf")
    for shift in sorted(shifts, key=lambda shift: shift.begin_s):
        end_s = shift.begin_s + max(0.0, shift.length_s)
        if end_s > until_s:
            total_s += end_s - max(shift.begin_s, until_s)
            until_s = end_s
    return total_s
