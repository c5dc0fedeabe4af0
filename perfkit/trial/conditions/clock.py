"""Whether the clock of the machine was set while a trial ran.

Durations come from clocks that nobody can set. Only the order of records follows the clock of the
machine, and the names of trials contain its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from perfkit.units import seconds_text

STEP_S = 2.0
"""Seconds from which a difference between the clocks is reported. Time servers that correct a clock
gradually change it by less than 0.05 % (adjtimex(2)), i.e. by 2 s per hour."""

RATE = 5e-4
"""Largest rate at which a clock is corrected gradually."""


def boot_seconds() -> float:
    """Seconds since the machine was booted, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Compares the clock of the machine with one that nobody can set, from now on.

    Parameters
    ----------
    read_clock
        Reads the clock of the machine in seconds.
    read_steady
        Reads the other clock in seconds.
    """

    def __init__(
        self,
        read_clock: Callable[[], float] = time.time,
        read_steady: Callable[[], float] = boot_seconds,
    ) -> None:
        self._read_clock, self._read_steady = read_clock, read_steady
        self._begin_s, self._steady_begin_s = read_clock(), read_steady()

    def sentence(self) -> str | None:
        """Whether the clock was set, for a record; None if it was not."""
        steady_s = self._read_steady() - self._steady_begin_s
        step_s = self._read_clock() - self._begin_s - steady_s
        if abs(step_s) < STEP_S + RATE * steady_s:
            return None
        direction = "back" if step_s < 0 else "forward"
        return (
            f"the clock of the machine was set {direction} by {seconds_text(abs(step_s))} during "
            "the trial: durations are those of another clock, but records may be out of order"
        )
