"""Clocks, CPU time, page faults and peak memory of one stage, read inside the child."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfkit.trial.messages import Channel

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"
"""Written to ``clear_refs``, sets VmHWM back to the current resident set (proc(5))."""


def peak_rss_bytes() -> int:
    """The largest resident set since the last reset (VmHWM), in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> bool:
    """Start a new peak; False where the kernel does not allow it (the peak is then the run's)."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


@contextmanager
def stage(channel: Channel, name: str) -> Iterator[None]:
    """Measure the enclosed block and report it as stage ``name``.

    Wall time is ``CLOCK_MONOTONIC``, which parent and child share; the rest is
    ``getrusage(RUSAGE_SELF)``, all threads together.
    """
    own_peak = reset_peak()
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin_s = time.monotonic()
    channel.send("enter", name=name, begin_s=begin_s)
    yield
    end_s = time.monotonic()
    after = resource.getrusage(resource.RUSAGE_SELF)
    channel.send(
        "stage",
        name=name,
        begin_s=begin_s,
        end_s=end_s,
        user_s=after.ru_utime - before.ru_utime,
        system_s=after.ru_stime - before.ru_stime,
        minor_faults=after.ru_minflt - before.ru_minflt,
        major_faults=after.ru_majflt - before.ru_majflt,
        voluntary_switches=after.ru_nvcsw - before.ru_nvcsw,
        involuntary_switches=after.ru_nivcsw - before.ru_nivcsw,
        peak_rss_bytes=peak_rss_bytes(),
        own_peak=own_peak,
    )
