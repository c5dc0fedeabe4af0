"""How long a trial may take and how much memory it may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from perfkit.errors import UserError
from perfkit.records.machine import available_memory_bytes

SHARE_OF_AVAILABLE_MEMORY = 0.95
"""Above this the kernel starts to kill, and not always the right process."""

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


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


def _quantity(text: str, units: dict[str, float] | dict[str, int], what: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in units:
        raise UserError(f"{text!r} is no {what}; write a number and one of {_unit_names(units)}")
    amount = float(match[1]) * units[match[2]]
    if amount <= 0:
        raise UserError(f"a {what} of {text.strip()} leaves nothing to work with: give more")
    return amount


def _unit_names(units: dict[str, float] | dict[str, int]) -> str:
    return ", ".join(unit for unit in units if unit)


def parse_duration(text: str) -> float:
    """Seconds of e.g. ``90``, ``90s``, ``15m`` or ``2h``.

    Raises
    ------
    UserError
        The text is no duration, or it is zero.
    """
    return _quantity(text, _SECONDS, "duration")


def parse_size(text: str) -> int:
    """Bytes of e.g. ``16GB`` or ``512MiB``.

    Raises
    ------
    UserError
        The text is no size, or it is zero.
    """
    return int(_quantity(text, _BYTES, "size"))
