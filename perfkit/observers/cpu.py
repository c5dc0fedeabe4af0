"""CPU use over time: by CPU, by thread, number of busy CPUs, other load and steal.

The parent reads ``/proc``. The number of busy CPUs is the number of threads of the process tree
that run or are ready to run (state ``R``) when a sample is taken.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, Finding, ObservedRun, Observer, Process
from perfkit.observers.pace import Pace
from perfkit.observers.process_tree import TICKS_PER_S, TreeSample, descendants, thinned
from perfkit.records.schema import Stage

LEAST_INTERVAL_S = 0.1
CHILDREN_INTERVAL_S = 1.0
KEPT_WINDOWS = 300
"""Largest number of windows in a record; a longer timeline has longer windows."""

KEPT_THREADS = 24
"""Largest number of thread names in a record."""

NUMBER = re.compile(r"[-/:]?\d+")
"""Numbers are removed from thread names, so that the threads of a pool share one row."""


@dataclass(frozen=True)
class _Moment:
    """One sample.

    Attributes
    ----------
    time_s
        Time on the monotonic clock.
    busy_s, steal_s
        Busy seconds of each CPU, and stolen seconds of all CPUs, since boot.
    tree_s
        CPU seconds that the process tree has used.
    running
        Number of threads of the tree in state ``R``; None if threads were not read.
    threads
        CPU seconds used so far, by thread name.
    """

    time_s: float
    busy_s: tuple[float, ...]
    steal_s: float
    tree_s: float
    running: int | None
    threads: Mapping[str, float]


class CpuResult(BaseModel):
    """CPU use of a trial. Times are seconds since its start; CPU use is in CPUs.

    Attributes
    ----------
    begin_s
        Begin of the first window.
    time_s
        Ends of the windows, ``[windows]``.
    tree
        Use by the processes of the trial, ``[windows]``.
    other, steal
        Use by all other programs, and CPUs that a hypervisor took away, ``[windows]``.
    cpus
        Use of each CPU of the machine by all programs, ``[CPUs][windows]``.
    threads
        CPU seconds of the whole trial by thread name, largest first.
    busy
        Fractions of the samples in which 0, 1, 2, ... CPUs were busy, by stage.
    interval_s
        Mean time between samples.
    """

    model_config = ConfigDict(frozen=True)

    begin_s: float
    time_s: list[float]
    tree: list[float]
    other: list[float]
    steal: list[float]
    cpus: list[list[float]]
    threads: dict[str, float]
    busy: dict[str, list[float]]
    interval_s: float


class Cpu(Observer):
    """Samples ``/proc/stat`` and the threads of the tree."""

    name = "cpu"
    process = Process.TIMED
    summary = "CPU use over time: by CPU, by thread, number of busy CPUs, other load, steal"

    def __init__(self) -> None:
        self._pace = Pace(LEAST_INTERVAL_S)
        self._moments: list[_Moment] = []
        self._tree: list[int] = []
        self._looked_s = float("-inf")
        self._last: TreeSample | None = None
        self._child: Child | None = None

    def started(self, child: Child) -> None:
        """Keep the child for later samples."""
        self._child = child

    def sampled(self, sample: TreeSample) -> None:
        """Take a sample if one is due."""
        self._last = sample
        if self._child is None or not self._pace.due(sample.time_s):
            return
        with self._pace.sampling(sample.time_s):
            if sample.time_s - self._looked_s > CHILDREN_INTERVAL_S:
                self._tree, self._looked_s = descendants(self._child.pid), sample.time_s
            running, threads = 0, defaultdict[str, float](float)
            for name, state, seconds in thread_states(self._tree):
                running += state == "R"
                threads[name] += seconds
            busy_s, steal_s = cpu_times()
            self._moments.append(
                _Moment(sample.time_s, busy_s, steal_s, sample.cpu_s, running, dict(threads))
            )

    def ended(self) -> None:
        """Close the last window.

        A process with many threads is sampled every few seconds only, so that the CPU time after
        the last sample may be a large part of a short trial.
        """
        last = self._last
        if last is not None and self._moments and last.time_s > self._moments[-1].time_s:
            busy_s, steal_s = cpu_times()
            self._moments.append(_Moment(last.time_s, busy_s, steal_s, last.cpu_s, None, {}))

    def results(self, run: ObservedRun) -> Finding:
        """CPU use between samples, by thread and by stage."""
        moments, child = self._moments, self._child
        if child is None or len(moments) < 2:
            return Finding(missing="the trial ended before two samples were taken")
        kept = thinned(moments, KEPT_WINDOWS + 1)
        windows = [(a, b, b.time_s - a.time_s) for a, b in pairwise(kept)]
        tree = [max(0.0, b.tree_s - a.tree_s) / t for a, b, t in windows]
        used = [
            [round((y - x) / t, 3) for x, y in zip(a.busy_s, b.busy_s, strict=True)]
            for a, b, t in windows
        ]
        found = CpuResult(
            begin_s=round(kept[0].time_s - child.begin_s, 3),
            time_s=[round(b.time_s - child.begin_s, 3) for _, b, _ in windows],
            tree=[round(value, 3) for value in tree],
            other=[
                round(max(0.0, sum(all_used) - own), 3)
                for all_used, own in zip(used, tree, strict=True)
            ],
            steal=[round((b.steal_s - a.steal_s) / t, 3) for a, b, t in windows],
            cpus=[list(column) for column in zip(*used, strict=True)],
            threads=_thread_seconds(moments),
            busy=_busy_fractions(moments, run.stages, child),
            interval_s=round((moments[-1].time_s - moments[0].time_s) / (len(moments) - 1), 4),
        )
        return Finding(found.model_dump())


def thread_states(pids: Sequence[int]) -> Iterator[tuple[str, str, float]]:
    """Name (without numbers), state and CPU seconds of each living thread of some processes."""
    for pid in pids:
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            try:
                text = (task / "stat").read_text()
            except OSError:
                continue
            head, _, tail = text.rpartition(")")
            fields = tail.split()
            seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            yield NUMBER.sub("", head.partition("(")[2]), fields[0], seconds


def cpu_times() -> tuple[tuple[float, ...], float]:
    """Busy seconds of each CPU, and stolen seconds of all CPUs, since boot."""
    busy, steal = [], 0.0
    for line in Path("/proc/stat").read_text().splitlines()[1:]:
        if not line.startswith("cpu"):
            break
        user, nice, system, _idle, _wait, irq, softirq, stolen = map(int, line.split()[1:9])
        busy.append((user + nice + system + irq + softirq) / TICKS_PER_S)
        steal += stolen / TICKS_PER_S
    return tuple(busy), steal


def _thread_seconds(moments: Sequence[_Moment]) -> dict[str, float]:
    """The largest CPU seconds of each name; a thread that has ended is not in later samples."""
    most: dict[str, float] = defaultdict(float)
    for moment in moments:
        for name, seconds in moment.threads.items():
            most[name] = max(most[name], seconds)
    ranked = sorted(most.items(), key=lambda item: -item[1])[:KEPT_THREADS]
    return {name: round(seconds, 2) for name, seconds in ranked if seconds > 0}


def _busy_fractions(
    moments: Sequence[_Moment], stages: Sequence[Stage], child: Child
) -> dict[str, list[float]]:
    """Fractions of samples with 0, 1, ... busy CPUs by stage; at most all CPUs are busy."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for moment in moments:
        if moment.running is None:
            continue
        at_s = moment.time_s - child.begin_s
        for stage in stages:
            if stage.begin_s <= at_s < stage.begin_s + stage.wall_s:
                counts[stage.name][min(moment.running, child.cpus)] += 1
    return {
        name: [round(count[n] / count.total(), 4) for n in range(child.cpus + 1)]
        for name, count in counts.items()
    }
