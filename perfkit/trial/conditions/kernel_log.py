"""Kills for lack of memory in the kernel's log."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

KERNEL_LOG = Path("/dev/kmsg")
LOG_TIMEOUT_S = 5.0
"""Longest time that reading the log may take."""

MAX_LINE_LENGTH = 200
"""Most characters of a line that a reason quotes."""

_KILLED = re.compile(r"Killed process (\d+)")


def find_memory_kill(pid: int, begin_s: float, lines: Iterable[str]) -> tuple[str, bool]:
    """Find the kernel's message that it killed a process for lack of memory.

    Parameters
    ----------
    pid
        Process to look for.
    begin_s
        Moment of the monotonic clock; earlier lines are ignored, because process IDs are reused.
    lines
        Lines in the format of ``/dev/kmsg``: ``level,number,microseconds,flags;text``.

    Returns
    -------
    tuple of str and bool
        The message, empty without one, and whether the lines before it report a kill of another
        process.
    """
    others = False
    for line in lines:
        head, _, text = line.partition(";")
        fields = head.split(",")
        killed = _KILLED.search(text)
        if killed is None or len(fields) < 3 or not fields[2].isdigit():
            continue
        if "out of memory" not in text.lower() and "oom" not in text.lower():
            continue
        # The log's clock is up to a second behind after the machine has slept.
        if int(fields[2]) / 1e6 < begin_s - 1.0:
            continue
        if int(killed[1]) == pid:
            return text.split(", UID")[0].strip()[:MAX_LINE_LENGTH], others
        others = True
    return "", others


def read_kernel_log() -> Iterator[str]:
    """Lines of the kernel's log in the format of ``/dev/kmsg``; none if it cannot be read."""
    try:
        descriptor = os.open(KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        yield from _read_dmesg()
        return
    try:
        deadline_s = time.monotonic() + LOG_TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                yield os.read(descriptor, 8192).decode(errors="replace")
            except BrokenPipeError:
                # A line was overwritten before it was read; the next one can be read.
                continue
            except OSError:
                return
    finally:
        os.close(descriptor)


def _read_dmesg() -> Iterator[str]:
    """The same lines from ``dmesg``, which works in containers that lack the file."""
    try:
        completed = subprocess.run(
            ["dmesg"], capture_output=True, timeout=LOG_TIMEOUT_S, check=False, encoding="utf-8"
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return
    for line in completed.stdout.splitlines():
        seconds = re.match(r"\[\s*(\d+\.\d+)\]", line)
        if seconds is not None:
            yield f"0,0,{int(float(seconds[1]) * 1e6)},-;{line[seconds.end() :]}"
