"""CPU use over time: each CPU, each thread by name, how many are busy at once, other load, steal.

Read from ``/proc`` by the parent. How many CPUs are busy is the number of threads of the tree that
are running or ready to run (state ``R``) at the moment of a sample.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, Finding, Observer, Place, Seen
from perfkit.observers.pace import Pace
from perfkit.observers.process_tree import TICKS_PER_S, TreeSample, descendants
from perfkit.records.schema import Stage

LEAST_INTERVAL_S = 0.1
CHILDREN_INTERVAL_S = 1.0
KEPT_WINDOWS = 300
"""Windows of the time line in a record; neighbours are put together where there are more."""

KEPT_THREADS = 24
NUMBER = re.compile(r"[-/:]?\d+")
"""Numbers are cut from thread names, so that the members of a pool are one row."""


@dataclass(frozen=True)
class _Moment:
    time_s: float
    busy_s: tuple[float, ...]
    """By CPU, since boot."""
    steal_s: float
    tree_s: float
    running: int
    threads: Mapping[str, float]
    """CPU seconds so far by thread name."""


class CpuSeen(BaseModel):
    """CPU use of a trial; times count from its start, CPU use is in CPUs.

    Attributes
    ----------
    time_s
        Ends of the windows, ``[windows]``; the first begins at ``begin_s``.
    tree
        Use by the trial's processes, ``[windows]``.
    other, steal
        Use by everything else on the machine, and what a hypervisor took.
    cpus
        Use of each CPU of the machine by anyone, ``[CPUs][windows]``.
    threads
        CPU seconds of the whole trial by thread name, largest first.
    busy
        By stage, the fraction of its samples in which 0, 1, 2, ... threads ran or were ready.
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
    place = Place.TIMED
    summary = "CPU use over time: each CPU, threads by name, busy CPUs, other load, steal"

    def __init__(self) -> None:
        self._pace = Pace(LEAST_INTERVAL_S)
        self._moments: list[_Moment] = []
        self._tree: list[int] = []
        self._looked_s = float("-inf")
        self._child: Child | None = None

    def started(self, child: Child) -> None:
        """Remember whom to look at."""
        self._child = child

    def sampled(self, sample: TreeSample) -> None:
        """Take a sample where one is due."""
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

    def results(self, seen: Seen) -> Finding:
        """Windows between samples, threads and busy CPUs."""
        moments, child = self._moments, self._child
        if child is None or len(moments) < 2:
            return Finding(missing="the trial ended before two samples were taken")
        kept = moments[:: max(1, -(-len(moments) // KEPT_WINDOWS))]
        windows = [(a, b, b.time_s - a.time_s) for a, b in pairwise(kept)]
        tree = [max(0.0, b.tree_s - a.tree_s) / t for a, b, t in windows]
        used = [
            [round((y - x) / t, 3) for x, y in zip(a.busy_s, b.busy_s, strict=True)]
            for a, b, t in windows
        ]
        found = CpuSeen(
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
            busy=_busy_fractions(moments, seen.stages, child),
            interval_s=round((moments[-1].time_s - moments[0].time_s) / (len(moments) - 1), 4),
        )
        return Finding(found.model_dump())


def thread_states(pids: Sequence[int]) -> Iterator[tuple[str, str, float]]:
    """Name, state and CPU seconds of each living thread of some processes."""
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
    """Busy seconds of each CPU since boot, and stolen seconds of all together."""
    busy, steal = [], 0.0
    for line in Path("/proc/stat").read_text().splitlines()[1:]:
        if not line.startswith("cpu"):
            break
        user, nice, system, _idle, _wait, irq, softirq, stolen = map(int, line.split()[1:9])
        busy.append((user + nice + system + irq + softirq) / TICKS_PER_S)
        steal += stolen / TICKS_PER_S
    return tuple(busy), steal


def _thread_seconds(moments: Sequence[_Moment]) -> dict[str, float]:
    """The most that was seen of each name: threads that ended leave the later samples."""
    most: dict[str, float] = defaultdict(float)
    for moment in moments:
        for name, seconds in moment.threads.items():
            most[name] = max(most[name], seconds)
    ranked = sorted(most.items(), key=lambda item: -item[1])[:KEPT_THREADS]
    return {name: round(seconds, 2) for name, seconds in ranked if seconds > 0}


def _busy_fractions(
    moments: Sequence[_Moment], stages: Sequence[Stage], child: Child
) -> dict[str, list[float]]:
    """By stage, how often 0, 1, ... CPUs were busy; more threads than CPUs count as all CPUs."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for moment in moments:
        at_s = moment.time_s - child.begin_s
        for stage in stages:
            if stage.begin_s <= at_s < stage.begin_s + stage.wall_s:
                counts[stage.name][min(moment.running, child.cpus)] += 1
    return {
        name: [round(count[n] / count.total(), 4) for n in range(child.cpus + 1)]
        for name, count in counts.items()
    }
