"""Whether the CPUs that a worker was granted are idle before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from perfkit.knobs.cpus import allowed_cpus
from perfkit.records.cgroups import PROC

LOOK_S = 0.5
"""Seconds between the two readings of the times of the CPUs, which count in hundredths."""

BUSY_SHARE = 0.1
"""Share of the time of the granted CPUs from which a node is called busy: kernel threads and
daemons take a few per cent."""

WAITING = (3, 4)
"""Columns of ``/proc/stat`` for idle time and for waiting for input, see proc(5)."""

COUNTED = 8
"""Number of columns that add up to the whole time; guests are counted as user time already."""


def busy_share(
    cpus: Iterable[int] | None = None,
    read: Callable[[], str] = (PROC / "stat").read_text,
    wait: Callable[[float], object] = time.sleep,
) -> float:
    """Share of the time of CPUs, from 0 to 1, that other processes take while this one waits.

    Parameters
    ----------
    cpus
        Numbers of the CPUs; by default those that this process may use.
    read
        Returns the content of ``/proc/stat``.
    wait
        Waits for a number of seconds.
    """
    chosen = set(allowed_cpus() if cpus is None else cpus)
    before = _times(read())
    wait(LOOK_S)
    after = _times(read())
    total = busy = 0
    for cpu in chosen & before.keys() & after.keys():
        passed = [late - early for early, late in zip(before[cpu], after[cpu], strict=True)]
        total += sum(passed)
        busy += sum(passed) - sum(passed[column] for column in WAITING)
    return busy / total if total > 0 else 0.0


def busy_sentence(share: float) -> str:
    """What a busy node means for the times measured there; empty if the node is idle.

    Parameters
    ----------
    share
        From :func:`busy_share`.
    """
    if share < BUSY_SHARE:
        return ""
    return (
        f"other processes take {share:.0%} of its CPUs, so that times are longer and less certain; "
        "--exclusive gives each worker a node of its own"
    )


def _times(text: str) -> dict[int, list[int]]:
    """Clock ticks of each CPU by column."""
    found = {}
    for line in text.splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name[3:].isdecimal():
            found[int(name[3:])] = [int(column) for column in columns[:COUNTED]]
    return found
