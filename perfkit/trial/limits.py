"""How long a trial may take and how much memory it may hold."""

from __future__ import annotations

from dataclasses import dataclass

from perfkit.records.machine import available_memory_bytes

SHARE_OF_AVAILABLE_MEMORY = 0.95
"""Above this the kernel starts to kill, and not always the right process."""


@dataclass(frozen=True)
class Limits:
    """Limits of one trial.

    Parameters
    ----------
    time_s
        Wall seconds that the trial may work, idle time between passes left out; None for no
        limit.
    memory_bytes
        Resident set of the process tree; None for most of what is free at the start.
    """

    time_s: float | None = None
    memory_bytes: int | None = None

    def effective_memory_bytes(self) -> int:
        """The memory limit in force: the one asked for, or what this machine has to give."""
        if self.memory_bytes is not None:
            return self.memory_bytes
        return int(available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY)
