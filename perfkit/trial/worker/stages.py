"""Clocks, CPU time, page faults and peak memory of one stage, read inside the child."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from perfkit.records.stages import StageName
from perfkit.trial.messages import Channel, EventKind

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"
"""Value that, written to ``clear_refs``, resets VmHWM to the current resident set (proc(5))."""


def peak_rss_bytes() -> int:
    """The largest resident set since the last reset (VmHWM) in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> bool:
    """Reset the peak memory; False if the kernel forbids it, so that peaks are the whole run's."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


class _Continued:
    """Counts how often this process was resumed after a stop.

    Python delivers signals between two instructions of the interpreter. A stop within a long call
    is therefore counted when the call returns, however short the stop was.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


_continued = _Continued()


def notice_stops() -> None:
    """Count stops from now on; called in the main thread before the first stage."""
    signal.signal(signal.SIGCONT, _continued)
    # System calls of libraries must not fail with an error when the process is resumed.
    signal.siginterrupt(signal.SIGCONT, False)


def _slept_s() -> float:
    """Seconds that the machine has slept since it was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


@contextmanager
def stage(channel: Channel, name: StageName) -> Iterator[None]:
    """Measure the enclosed block and report it as a stage.

    Wall time is from ``CLOCK_MONOTONIC``, which parent and child share. CPU times, faults and
    context switches are from ``getrusage(RUSAGE_SELF)`` and cover all threads.

    Parameters
    ----------
    channel
        Channel that the begin and the end of the stage are sent over.
    name
        Name of the stage.
    """
    own_peak = reset_peak()
    slept_s, continued = _slept_s(), _continued.count
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin_s = time.monotonic()
    channel.send(EventKind.ENTER, name=name, begin_s=begin_s)
    yield
    end_s = time.monotonic()
    after = resource.getrusage(resource.RUSAGE_SELF)
    suspended_s = _slept_s() - slept_s
    channel.send(
        EventKind.STAGE,
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
        suspended_s=suspended_s,
        continued=_continued.count - continued,
    )
