"""Whether something held a pass up: decided from what was seen of it, never from its duration.

A rule that looked at the time of a pass would drop slow passes and flatter every configuration.
What counts here is evidence that the program did not run for a while: it was stopped, the machine
slept, or no CPU time was used at all. A machine that is merely busy slows a pass down without
holding it up; :mod:`perfkit.observers.load` speaks of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfkit.observers.process_tree import TreeSample

STILL_S = 1.0
"""Seconds without CPU time that hold a pass up. The longest period of a CPU quota is one second,
and a busy scheduler lets nobody wait as long; a pass computes all the time."""

STILL_CPUS = 0.05
"""CPU use below which nothing ran between two samples, which are a tenth of a second apart: less
than one tick of the clock there, and room for both ends of a gap of many seconds."""

SUSPENDED_S = 0.05
"""Seconds by which the clock that counts a machine's sleep must have run ahead of the other."""


@dataclass(frozen=True)
class Hold:
    """What the child itself noticed during a stage.

    Parameters
    ----------
    continued
        How often it was resumed after a stop (SIGCONT).
    suspended_s
        Seconds that the machine slept: ``CLOCK_BOOTTIME`` against ``CLOCK_MONOTONIC``.
    """

    continued: int = 0
    suspended_s: float = 0.0


def disturbance(
    begin_s: float, end_s: float, hold: Hold, samples: Sequence[TreeSample], *, computes: bool
) -> str | None:
    """Why the time between two moments cannot be taken for the program's own, None if it can.

    Parameters
    ----------
    begin_s, end_s
        On the monotonic clock.
    hold
        What the child noticed.
    samples
        Of its process tree, oldest first, one before and one after the stage included.
    computes
        Whether the program computes all the time; what reads files may have to wait for them.
    """
    reasons = []
    stopped = any(one.stopped for one in samples if begin_s <= one.time_s <= end_s)
    if stopped or hold.continued:
        times = f", resumed {hold.continued} times" if hold.continued > 1 else ""
        reasons.append(f"the program was stopped by a signal or a tracer{times}")
    if hold.suspended_s > SUSPENDED_S:
        reasons.append(f"the machine was suspended for {hold.suspended_s:.1f} s")
    still_s = longest_still_s(begin_s, end_s, samples)
    if computes and still_s >= STILL_S:
        reasons.append(f"nothing of the program ran for {still_s:.1f} s")
    return "; ".join(reasons) or None


def longest_still_s(begin_s: float, end_s: float, samples: Sequence[TreeSample]) -> float:
    """The longest time on end, in seconds, in which the tree used no CPU time worth the name."""
    longest_s = current_s = 0.0
    for before, after in pairwise(samples):
        inside_s = min(after.time_s, end_s) - max(before.time_s, begin_s)
        if inside_s <= 0:
            continue
        used_s = after.cpu_s - before.cpu_s
        still = used_s < STILL_CPUS * (after.time_s - before.time_s)
        current_s = current_s + inside_s if still else 0.0
        longest_s = max(longest_s, current_s)
    return longest_s
