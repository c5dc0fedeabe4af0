"""Whether something held up a pass, judged from what was observed and never from its duration.

A rule that looked at the duration of a pass would drop slow passes and flatter every configuration.
The evidence here is that the program did not run for a while: it was stopped, the machine slept, or
the program used no CPU time at all. A busy machine slows a pass down without holding it up;
:mod:`perfkit.observers.load` warns of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfkit.observers.process_tree import TreeSample

STILL_S = 1.0
"""Seconds without CPU time that count as held up. The longest period of a CPU quota is one second,
a busy scheduler lets no process wait that long, and a pass computes all the time."""

STILL_CPUS = 0.05
"""CPUs in use below which nothing ran between two samples. Samples are a tenth of a second apart:
the bound is less than one clock tick there, and leaves room for the ends of a gap of seconds."""

SUSPENDED_S = 0.05
"""Seconds by which the clock that counts the machine's sleep must run ahead of the other one."""


@dataclass(frozen=True)
class Hold:
    """What the child itself noticed of a hold during a stage.

    Attributes
    ----------
    continued
        How often the child was resumed after a stop (SIGCONT).
    suspended_s
        Seconds that the machine slept: ``CLOCK_BOOTTIME`` minus ``CLOCK_MONOTONIC``.
    """

    continued: int = 0
    suspended_s: float = 0.0


def disturbance(
    begin_s: float, end_s: float, hold: Hold, samples: Sequence[TreeSample], *, computes: bool
) -> str | None:
    """Why the time of a stage is not the program's own; None if nothing held the program up.

    Parameters
    ----------
    begin_s, end_s
        Begin and end of the stage on the monotonic clock.
    hold
        What the child noticed.
    samples
        Samples of the process tree, oldest first, with one before and one after the stage.
    computes
        Whether the program computes all the time. A stage that reads files may have to wait.
    """
    reasons = []
    stopped = any(sample.stopped for sample in samples if begin_s <= sample.time_s <= end_s)
    if stopped or hold.continued:
        times = f", resumed {hold.continued} times" if hold.continued > 1 else ""
        reasons.append(f"the program was stopped by a signal or a tracer{times}")
    if hold.suspended_s > SUSPENDED_S:
        reasons.append(f"the machine was suspended for {hold.suspended_s:.1f} s")
    still_s = longest_still_s(begin_s, end_s, samples)
    if computes and still_s >= STILL_S:
        reasons.append(f"the program did not run for {still_s:.1f} s")
    return "; ".join(reasons) or None


def longest_still_s(begin_s: float, end_s: float, samples: Sequence[TreeSample]) -> float:
    """The longest time, in seconds, in which the tree used practically no CPU time.

    Parameters
    ----------
    begin_s, end_s
        Period to look at, on the monotonic clock.
    samples
        Samples of the process tree, oldest first.
    """
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
