"""Limits of a trial's time and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perfkit.records.machine import available_memory_bytes
from perfkit.trial.hang_watch import HANG_S

SHARE_OF_AVAILABLE_MEMORY = 0.95
"""Share of the free memory that a trial may use. Above it the kernel starts to kill processes, and
not always the right one."""


@dataclass(frozen=True)
class Limits:
    """Limits of one trial.

    Attributes
    ----------
    time_s
        Wall seconds that the trial may work, without the idle time between passes; None for no
        limit.
    memory_bytes
        Limit of the resident set of the process tree; None for
        :data:`SHARE_OF_AVAILABLE_MEMORY` of the memory that is free at the start.
    hang_s
        Seconds without CPU time after which a trial that should work is ended.
    """

    time_s: float | None = None
    memory_bytes: int | None = None
    hang_s: float = HANG_S

    def effective_memory_bytes(
        self, available_bytes: Callable[[], int] = available_memory_bytes
    ) -> int:
        """The memory limit in bytes that applies to a trial that starts now.

        Parameters
        ----------
        available_bytes
            Returns the free memory in bytes; called if no limit is set.
        """
        if self.memory_bytes is not None:
            return self.memory_bytes
        return int(available_bytes() * SHARE_OF_AVAILABLE_MEMORY)
