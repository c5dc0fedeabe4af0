"""What shows that a trial died for want of memory: counters, the kernel's log, the last sample."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from perfkit.observers.process_tree import TreeSample
from perfkit.records.cgroups import PROC, Cgroup, cgroup_limits, lineage
from perfkit.records.restrictions import restrictions

KERNEL_LOG = Path("/dev/kmsg")
LOG_TIMEOUT_S = 5.0

LOOK_INTERVAL_S = 1.0
LOOKS_KEPT = 5
"""Counters are compared with those of some seconds before the death: an older difference may be
another process's end, a younger look may have come after the kill."""

NEAR = 0.9
"""Share of a limit from which a process that died is taken to have reached it: it grows by up to
half a gigabyte between two samples."""

EXHAUSTED = 0.1
"""Share of the machine's memory below which it is nearly exhausted; programs that watch over
memory (earlyoom, systemd-oomd) kill from there on, without a word in the kernel's log."""

_KILLED = re.compile(r"Killed process (\d+)")


@dataclass(frozen=True)
class MemoryEvidence:
    """What was seen of memory around a child's death; None for what cannot be read.

    Parameters
    ----------
    log_line
        The kernel's line on having killed this process for want of memory.
    other_kill
        Whether the kernel's log names another process that it killed for want of memory.
    group_kills, machine_kills
        By how much the counters of kills rose in the last seconds: of the process's memory
        control group, and of the machine.
    group_failures
        By how much the group's counter of allocations over its limit rose.
    resident_bytes, address_bytes
        Of the process, in the last sample of it.
    group_limit_bytes, group_used_bytes
        The tightest control group's limit, and what the group held at the last look.
    address_limit_bytes
        What ``ulimit -v`` allows.
    available_bytes, machine_bytes
        Free memory of the machine at the last look, and all of it.
    cpu_s, cpu_limit_s
        CPU seconds used, and what ``ulimit -t`` allows.
    """

    log_line: str = ""
    other_kill: bool = False
    group_kills: int | None = None
    machine_kills: int | None = None
    group_failures: int | None = None
    resident_bytes: int = 0
    address_bytes: int = 0
    group_limit_bytes: int | None = None
    group_used_bytes: int = 0
    address_limit_bytes: int | None = None
    available_bytes: int | None = None
    machine_bytes: int = 0
    cpu_s: float = 0.0
    cpu_limit_s: int | None = None


def killed_for_memory(evidence: MemoryEvidence) -> str | None:
    """What shows that a child killed by signal 9 was killed for want of memory, None if nothing.

    A counter or a log is proof. Without one, a process that was close to a limit, or the largest
    part of a memory that was nearly used up, is taken to have been killed for it. Where counters
    show that the kernel killed nobody, what the process itself held must be close to the limit:
    batch systems kill for that too.
    """
    if evidence.log_line:
        return f"the kernel's log says: {evidence.log_line}"
    if evidence.group_kills and not evidence.other_kill:
        return f"its memory control group counted {evidence.group_kills} kill(s) for want of memory"
    if evidence.machine_kills and not evidence.other_kill:
        return f"the kernel counted {evidence.machine_kills} kill(s) for want of memory"
    limit, held = evidence.group_limit_bytes, evidence.resident_bytes
    counted = evidence.group_kills is not None or evidence.machine_kills is not None
    near = held if counted else max(held, evidence.group_used_bytes)
    if limit is not None and near >= NEAR * limit:
        failures = ""
        if evidence.group_failures:
            failures = f", and {evidence.group_failures} allocations went over it"
        return (
            f"{_gb(held)} resident, {_gb(evidence.group_used_bytes)} in its control group, whose "
            f"limit is {_gb(limit)}{failures}"
        )
    free = evidence.available_bytes
    if free is not None and free < EXHAUSTED * evidence.machine_bytes and held > free:
        return (
            f"{_gb(held)} resident and {_gb(free)} of the machine's {_gb(evidence.machine_bytes)} "
            "left"
        )
    return None


def address_space_full(evidence: MemoryEvidence) -> str | None:
    """What shows that allocations failed for ``ulimit -v``, None if nothing."""
    limit = evidence.address_limit_bytes
    if limit is None or evidence.address_bytes < NEAR * limit:
        return None
    return f"address space of {_gb(evidence.address_bytes)}, ulimit -v allows {_gb(limit)}"


def nothing_shown(evidence: MemoryEvidence) -> str:
    """Why a kill is not put down to memory, in a clause for the reason."""
    if evidence.cpu_limit_s is not None and evidence.cpu_s >= NEAR * evidence.cpu_limit_s:
        return f"{evidence.cpu_s:.0f} s of CPU time used, ulimit -t allows {evidence.cpu_limit_s} s"
    free = "" if evidence.available_bytes is None else f", {_gb(evidence.available_bytes)} free"
    return f"nothing shows that memory ran out ({_gb(evidence.resident_bytes)} resident{free})"


@dataclass(frozen=True)
class _Look:
    time_s: float
    group_kills: int | None
    group_failures: int | None
    machine_kills: int | None
    group_used_bytes: int
    available_bytes: int


class MemoryWatch:
    """Looks at memory around a child while it lives, so that its death can be explained.

    Parameters
    ----------
    pid
        The child.
    begin_s
        Monotonic clock at its start.
    """

    def __init__(self, pid: int, begin_s: float) -> None:
        self._pid = pid
        self._groups = lineage("memory", pid)
        self._last = TreeSample(begin_s, 0.0, 0)
        self._looks = deque([self._look()], maxlen=LOOKS_KEPT)
        self._looked_s = begin_s

    def sampled(self, sample: TreeSample) -> None:
        """Take in a sample of the child's process tree; a dead child's is passed over."""
        if sample.rss_bytes == 0:
            return
        self._last = sample
        if sample.time_s - self._looked_s >= LOOK_INTERVAL_S:
            self._looked_s = sample.time_s
            self._looks.append(self._look())

    def evidence(self) -> MemoryEvidence:
        """What there is to say now that the child is dead."""
        now, before = self._look(), self._looks[0]
        last = self._looks[-1]
        limits = cgroup_limits()
        own = restrictions(limits)
        own_line, other_kill = kernel_log_kill(self._pid, before.time_s, _kernel_log())
        return MemoryEvidence(
            log_line=own_line,
            other_kill=other_kill,
            group_kills=_risen(before.group_kills, now.group_kills),
            machine_kills=_risen(before.machine_kills, now.machine_kills),
            group_failures=_risen(before.group_failures, now.group_failures),
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

    def _look(self) -> _Look:
        limited = [one for one in self._groups if one.memory_limit_bytes() is not None]
        tightest = min(limited, key=_left_bytes, default=None)
        return _Look(
            time_s=time.monotonic(),
            group_kills=_count(self._groups, "event_oom_kill"),
            group_failures=None if tightest is None else _count([tightest], "event_max"),
            machine_kills=_machine_kills(),
            group_used_bytes=0 if tightest is None else tightest.memory_used_bytes(),
            available_bytes=psutil.virtual_memory().available,
        )


def kernel_log_kill(pid: int, begin_s: float, lines: Iterable[str]) -> tuple[str, bool]:
    """The kernel's line on having killed a process for want of memory, and whether it names others.

    Parameters
    ----------
    pid
        The process.
    begin_s
        Lines from before this moment of the monotonic clock are passed over: numbers of processes
        are used again.
    lines
        As ``/dev/kmsg`` has them: ``level,number,microseconds,flags;text``.
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
        # The log's clock lags behind by up to a second after the machine has slept.
        if int(fields[2]) / 1e6 < begin_s - 1.0:
            continue
        if int(killed[1]) == pid:
            return text.split(", UID")[0].strip()[:200], others
        others = True
    return "", others


def _kernel_log() -> Iterator[str]:
    """Lines of the kernel's log as ``/dev/kmsg`` has them; none where it may not be read."""
    try:
        descriptor = os.open(KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        yield from _log_of_dmesg()
        return
    try:
        deadline_s = time.monotonic() + LOG_TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                yield os.read(descriptor, 8192).decode(errors="replace")
            except BrokenPipeError:
                # A line was overwritten before it was read; the next one can be.
                continue
            except OSError:
                return
    finally:
        os.close(descriptor)


def _log_of_dmesg() -> Iterator[str]:
    """The same lines from ``dmesg``, which may read where the file is absent (containers)."""
    try:
        asked = subprocess.run(
            ["dmesg"], capture_output=True, timeout=LOG_TIMEOUT_S, check=False, encoding="utf-8"
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return
    for line in asked.stdout.splitlines():
        seconds = re.match(r"\[\s*(\d+\.\d+)\]", line)
        if seconds is not None:
            yield f"0,0,{int(float(seconds[1]) * 1e6)},-;{line[seconds.end() :]}"


def _left_bytes(group: Cgroup) -> int:
    return (group.memory_limit_bytes() or 0) - group.memory_used_bytes()


def _count(groups: Iterable[Cgroup], event: str) -> int | None:
    """A counter of the nearest control group that has it: a kill counts in its victim's group."""
    counts = (group.counts().get(event) for group in groups)
    return next((count for count in counts if count is not None), None)


def _machine_kills() -> int | None:
    try:
        lines = (PROC / "vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _risen(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
