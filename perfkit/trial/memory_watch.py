"""Counters and limits of memory around a child while it lives, so that its death is explained."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from perfkit.observers.process_tree import TreeSample
from perfkit.records.cgroups import PROC, Cgroup, cgroup_limits, lineage
from perfkit.records.restrictions import restrictions
from perfkit.trial.conditions.kernel_log import find_memory_kill, read_kernel_log
from perfkit.trial.memory_evidence import MemoryEvidence

READ_INTERVAL_S = 1.0
"""Time between two readings of the counters."""

READINGS_KEPT = 5
"""Counters are compared with those of some seconds before the death. An older difference may be
another process's kill; a younger reading may have been taken after the kill."""


def machine_kills() -> int | None:
    """Kills for lack of memory since boot (``oom_kill`` of ``/proc/vmstat``), None if unknown."""
    try:
        lines = (PROC / "vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


@dataclass(frozen=True)
class _Reading:
    time_s: float
    group_kills: int | None
    group_failures: int | None
    machine_kills: int | None
    group_used_bytes: int
    available_bytes: int


class MemoryWatch:
    """Reads memory counters around a child while it lives.

    Parameters
    ----------
    pid
        Process ID of the child.
    begin_s
        Monotonic clock at the child's start.
    count_kills
        Returns the machine's count of kills for lack of memory, None if unknown.
    kernel_log
        Returns lines of the kernel's log in the format of ``/dev/kmsg``.
    """

    def __init__(
        self,
        pid: int,
        begin_s: float,
        count_kills: Callable[[], int | None] = machine_kills,
        kernel_log: Callable[[], Iterable[str]] = read_kernel_log,
    ) -> None:
        self._pid = pid
        self._count_kills = count_kills
        self._kernel_log = kernel_log
        self._groups = lineage("memory", pid)
        self._last = TreeSample(begin_s, 0.0, 0)
        self._readings = deque([self._read()], maxlen=READINGS_KEPT)
        self._read_s = begin_s

    def sampled(self, sample: TreeSample) -> None:
        """Take in a sample of the child's process tree; a sample of a dead child is ignored."""
        if sample.rss_bytes == 0:
            return
        self._last = sample
        if sample.time_s - self._read_s >= READ_INTERVAL_S:
            self._read_s = sample.time_s
            self._readings.append(self._read())

    def evidence(self) -> MemoryEvidence:
        """The evidence, for a child that has just died."""
        now, before = self._read(), self._readings[0]
        last = self._readings[-1]
        limits = cgroup_limits()
        own = restrictions(limits)
        log_line, other_kill = find_memory_kill(self._pid, before.time_s, self._kernel_log())
        return MemoryEvidence(
            log_line=log_line,
            other_kill=other_kill,
            group_kills=_increase(before.group_kills, now.group_kills),
            machine_kills=_increase(before.machine_kills, now.machine_kills),
            group_failures=_increase(before.group_failures, now.group_failures),
            resident_bytes=self._last.rss_bytes,
            address_bytes=self._last.address_bytes,
            group_limit_bytes=limits.memory_bytes,
            group_used_bytes=last.group_used_bytes,
            address_limit_bytes=own.address_bytes,
            available_bytes=last.available_bytes,
            machine_bytes=psutil.virtual_memory().total,
            cpu_s=self._last.cpu_s,
            cpu_limit_s=own.cpu_time_s,
        )

    def _read(self) -> _Reading:
        limited = [group for group in self._groups if group.memory_limit_bytes() is not None]
        tightest = min(limited, key=_left_bytes, default=None)
        return _Reading(
            time_s=time.monotonic(),
            group_kills=_count(self._groups, "event_oom_kill"),
            group_failures=None if tightest is None else _count([tightest], "event_max"),
            machine_kills=self._count_kills(),
            group_used_bytes=0 if tightest is None else tightest.memory_used_bytes(),
            available_bytes=psutil.virtual_memory().available,
        )


def _left_bytes(group: Cgroup) -> int:
    return (group.memory_limit_bytes() or 0) - group.memory_used_bytes()


def _count(groups: Iterable[Cgroup], event: str) -> int | None:
    """A counter of the nearest group that has it; a kill counts in the group of its victim."""
    counts = (group.counts().get(event) for group in groups)
    return next((count for count in counts if count is not None), None)


def _increase(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before
