"""CPU time and resident memory of a process tree over time, and CPU time of the whole machine.

A thread of the parent reads ``/proc``, so that the measured process is not disturbed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_S = 0.1
"""Seconds between samples; a sample of one process reads two small files."""

CHILDREN_INTERVAL_S = 1.0
"""Seconds between searches for new child processes, which read one file per thread."""

STOPPED_STATES = ("T", "t")
"""States in ``/proc/PID/stat``: stopped by a signal, stopped by a tracer (proc(5))."""

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class TreeSample:
    """State of a process tree.

    Attributes
    ----------
    time_s
        Time on the monotonic clock.
    cpu_s
        CPU seconds that the tree has used.
    rss_bytes
        Resident memory of all processes.
    stopped
        Whether a signal or a tracer stopped one of the processes.
    address_bytes
        Largest address space of one process.
    """

    time_s: float
    cpu_s: float
    rss_bytes: int
    stopped: bool = False
    address_bytes: int = 0


@dataclass(frozen=True)
class MachineTimes:
    """CPU seconds of the whole machine since boot (``/proc/stat``, first line).

    Attributes
    ----------
    busy_s
        Seconds in which CPUs worked.
    steal_s
        Seconds that a hypervisor took away.
    """

    busy_s: float
    steal_s: float


@dataclass
class Timeline:
    """Samples of a process tree over time.

    Attributes
    ----------
    samples
        Samples, oldest first.
    """

    samples: list[TreeSample] = field(default_factory=list)

    @property
    def peak_rss_bytes(self) -> int:
        """Largest resident memory of all samples, 0 without samples."""
        return max((sample.rss_bytes for sample in self.samples), default=0)

    def around(self, begin_s: float, end_s: float) -> list[TreeSample]:
        """The samples between two times, and the nearest sample on either side."""
        samples = list(self.samples)
        first = bisect_left(samples, begin_s, key=_moment)
        last = bisect_right(samples, end_s, key=_moment)
        return samples[max(0, first - 1) : last + 1]

    def thinned(self, most: int) -> Timeline:
        """At most ``most`` samples at even distances, including the first and the last."""
        return self if len(self.samples) <= most else Timeline(thinned(self.samples, most))


def thinned[T](samples: Sequence[T], most: int) -> list[T]:
    """At most ``most`` (>= 2) samples at even distances, including the first and the last."""
    count = len(samples)
    if count <= most:
        return list(samples)
    return [samples[round(i * (count - 1) / (most - 1))] for i in range(most)]


def _moment(sample: TreeSample) -> float:
    return sample.time_s


def machine_times() -> MachineTimes:
    """CPU seconds of the machine since boot."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in first[1:9])
    busy = user + nice + system + irq + softirq
    return MachineTimes(busy / TICKS_PER_S, steal / TICKS_PER_S)


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process: all threads, and children that it has waited for.

    Raises
    ------
    OSError
        The process has ended.
    """
    return _state_and_cpu(pid)[1]


def rss_bytes(pid: int) -> int:
    """Resident memory of a process.

    Raises
    ------
    OSError
        The process has ended.
    """
    return _address_and_resident(pid)[1]


def tree_rss_bytes(pid: int) -> int:
    """Resident memory of a process and all of its descendants; those that have ended hold none."""
    total = 0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            total += rss_bytes(each)
    return total


def _state_and_cpu(pid: int) -> tuple[str, float]:
    """State of a process and its CPU seconds, as :func:`cpu_seconds` counts them."""
    text = Path(f"/proc/{pid}/stat").read_text()
    # The command name may contain spaces and brackets, so fields are counted after the last one.
    fields = text.rpartition(")")[2].split()
    return fields[0], sum(int(value) for value in fields[11:15]) / TICKS_PER_S


def _address_and_resident(pid: int) -> tuple[int, int]:
    """Address space and resident memory of a process in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return int(pages[0]) * PAGE_BYTES, int(pages[1]) * PAGE_BYTES


def descendants(pid: int) -> list[int]:
    """Process ids of a process and all of its descendants."""
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
        Process id of the root of the tree.
    on_sample
        Called with each sample on the sampling thread, e.g. to enforce a memory limit.
    """

    def __init__(self, pid: int, on_sample: Callable[[TreeSample], None]) -> None:
        self.timeline = Timeline()
        self._pid = pid
        self._on_sample = on_sample
        self._tree, self._looked_s = [pid], float("-inf")
        self._taking = threading.Lock()
        self._stopped = threading.Event()
        self._sampling = threading.Event()
        self._sampling.set()
        self._thread = threading.Thread(target=self._run, name="tree-sampler", daemon=True)

    def start(self) -> None:
        """Start the sampling thread."""
        self._thread.start()

    def stop(self) -> Timeline:
        """Stop the sampling thread and return the samples."""
        self._stopped.set()
        self._sampling.set()
        self._thread.join()
        return self.timeline

    def pause(self) -> None:
        """Take no samples on the sampling thread until :meth:`resume`."""
        self._sampling.clear()

    def resume(self) -> None:
        """Take samples again."""
        self._sampling.set()

    def take(self) -> TreeSample | None:
        """Take a sample now; None if all processes of the tree have ended.

        Only samples of the sampling thread are passed to ``on_sample``.
        """
        with self._taking:
            now_s = time.monotonic()
            if now_s - self._looked_s > CHILDREN_INTERVAL_S:
                self._tree, self._looked_s = descendants(self._pid), now_s
            cpu_s, resident, address, alive, stopped = 0.0, 0, 0, False, False
            for pid in self._tree:
                try:
                    state, used_s = _state_and_cpu(pid)
                    own_address, own_resident = _address_and_resident(pid)
                except OSError:
                    continue
                cpu_s += used_s
                resident += own_resident
                address = max(address, own_address)
                stopped |= state in STOPPED_STATES
                alive = True
            if not alive:
                return None
            sample = TreeSample(now_s, cpu_s, resident, stopped, address)
            self.timeline.samples.append(sample)
            return sample

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self._sampling.wait()
            sample = self.take()
            if sample is None:
                return
            self._on_sample(sample)
