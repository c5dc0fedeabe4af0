"""CPU time and resident memory of a process tree over time, and what else the machine did.

Read from ``/proc`` by a thread of the parent, so that the measured process is not touched.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_S = 0.1
"""Time between samples; a sample of one process reads three small files."""

CHILDREN_INTERVAL_S = 1.0
"""Time between looks for new child processes, which cost a read a thread."""

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class TreeSample:
    """The tree at one moment of the monotonic clock."""

    time_s: float
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True)
class MachineTimes:
    """CPU seconds of the whole machine since boot (``/proc/stat``, first line)."""

    busy_s: float
    steal_s: float


@dataclass
class Timeline:
    """Samples of a process tree, oldest first."""

    samples: list[TreeSample] = field(default_factory=list)

    @property
    def peak_rss_bytes(self) -> int:
        """Largest resident set of the tree that was seen, 0 without samples."""
        return max((sample.rss_bytes for sample in self.samples), default=0)

    def thinned(self, most: int) -> Timeline:
        """At most ``most`` samples, evenly taken, first and last kept."""
        count = len(self.samples)
        if count <= most:
            return self
        picked = [self.samples[round(i * (count - 1) / (most - 1))] for i in range(most)]
        return Timeline(picked)


def machine_times() -> MachineTimes:
    """CPU seconds of the machine so far; steal is what a hypervisor took away."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in first[1:9])
    busy = user + nice + system + irq + softirq
    return MachineTimes(busy / TICKS_PER_S, steal / TICKS_PER_S)


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process, all threads, ended children included.

    Raises
    ------
    OSError
        The process is gone.
    """
    text = Path(f"/proc/{pid}/stat").read_text()
    # The command name may hold spaces and brackets: fields are counted behind its last bracket.
    fields = text.rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Resident set of a process.

    Raises
    ------
    OSError
        The process is gone.
    """
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def descendants(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for parent in found:
        try:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = (thread / "children").read_text()
                found.extend(int(child) for child in children.split())
        except OSError:
            continue
    return found


class TreeSampler:
    """Samples a process tree from a thread until it is stopped.

    Parameters
    ----------
    pid
        Root of the tree.
    on_sample
        Called with each sample, on the sampling thread; used to enforce a memory limit.
    """

    def __init__(self, pid: int, on_sample: Callable[[TreeSample], None]) -> None:
        self.timeline = Timeline()
        self._pid = pid
        self._on_sample = on_sample
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tree-sampler", daemon=True)

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> Timeline:
        """End sampling and return what was seen."""
        self._stopped.set()
        self._thread.join()
        return self.timeline

    def _run(self) -> None:
        tree, looked_s = [self._pid], float("-inf")
        while not self._stopped.wait(INTERVAL_S):
            now_s = time.monotonic()
            if now_s - looked_s > CHILDREN_INTERVAL_S:
                tree, looked_s = descendants(self._pid), now_s
            cpu_s, resident, alive = 0.0, 0, False
            for pid in tree:
                try:
                    cpu_s += cpu_seconds(pid)
                    resident += rss_bytes(pid)
                    alive = True
                except OSError:
                    continue
            if not alive:
                return
            sample = TreeSample(now_s, cpu_s, resident)
            self.timeline.samples.append(sample)
            self._on_sample(sample)
