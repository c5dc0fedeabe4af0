"""The memory that a living trial uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryUse:
    """Measured memory of a trial that is alive.

    Attributes
    ----------
    pid
        Process ID of its child. Trials that share a process have the same one.
    resident_bytes
        Resident memory of the process tree now.
    peak_bytes
        Largest resident memory so far.
    passed
        Whether the trial has made a pass, after which its memory hardly grows any more.
    """

    pid: int
    resident_bytes: int
    peak_bytes: int
    passed: bool
