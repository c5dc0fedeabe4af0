"""Memory over time: resident by kind, proportional, huge pages, peaks, and control group.

``/proc/PID/status`` is cheap and read with every sample. ``smaps_rollup`` walks all page tables of
the process and blocks changes of its mappings, so its interval grows with its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, Finding, ObservedRun, Observer, Process
from perfkit.observers.pace import Pace
from perfkit.observers.process_tree import TreeSample, thinned
from perfkit.records.cgroups import Cgroup, memory_cgroup

STATUS_INTERVAL_S = 0.1
ROLLUP_INTERVAL_S = 1.0
KEPT_SAMPLES = 300
"""Largest number of samples in a record."""

STATUS_FIELDS = ("VmHWM", "RssAnon", "RssFile", "RssShmem")
ROLLUP_FIELDS = ("Pss", "AnonHugePages")


class MemoryResult(BaseModel):
    """Memory of the process of a trial. Sizes are bytes; times are seconds since its start.

    Attributes
    ----------
    time_s
        Times of the samples, ``[samples]``.
    anonymous, file, shared
        Resident memory by kind, ``[samples]``.
    rollup_time_s
        Times of the less frequent samples, ``[rollups]``.
    pss, anonymous_huge
        Proportional set size and anonymous huge pages, ``[rollups]``.
    peak_rss
        Peak resident memory: the largest ``VmHWM`` of all samples and stages.
    peaks
        Peak resident memory by stage, and its kinds in the largest sample.
    cgroup
        Limit and peak of the memory cgroup, and its events during the trial.
    """

    model_config = ConfigDict(frozen=True)

    time_s: list[float]
    anonymous: list[int]
    file: list[int]
    shared: list[int]
    rollup_time_s: list[float]
    pss: list[int]
    anonymous_huge: list[int]
    peak_rss: int
    peaks: dict[str, dict[str, int]]
    cgroup: dict[str, int]


@dataclass(frozen=True)
class _Moment:
    """One sample: seconds since the start of the trial, and bytes by kind."""

    time_s: float
    anonymous: int
    file: int
    shared: int

    @property
    def resident(self) -> int:
        return self.anonymous + self.file + self.shared


class Memory(Observer):
    """Samples the memory of the child from the parent.

    Parameters
    ----------
    cgroup_of
        Returns the memory cgroup of a process id.
    """

    name = "memory"
    process = Process.TIMED
    summary = "resident memory by kind, proportional set size, huge pages, peaks, cgroup"

    def __init__(self, cgroup_of: Callable[[int], Cgroup | None] = memory_cgroup) -> None:
        self._cgroup_of = cgroup_of
        self._status_pace = Pace(STATUS_INTERVAL_S)
        self._rollup_pace = Pace(ROLLUP_INTERVAL_S)
        self._moments: list[_Moment] = []
        self._rollups: list[tuple[float, int, int]] = []
        self._peak = 0
        self._child: Child | None = None
        self._cgroup: Cgroup | None = None
        self._cgroup_before: dict[str, int] = {}

    def started(self, child: Child) -> None:
        """Keep the child for later samples, and read the counts of its cgroup."""
        self._child = child
        self._cgroup = self._cgroup_of(child.pid)
        if self._cgroup is not None:
            self._cgroup_before = self._cgroup.counts()

    def sampled(self, sample: TreeSample) -> None:
        """Take the samples that are due."""
        child, now_s = self._child, sample.time_s
        if child is None:
            return
        at_s = now_s - child.begin_s
        try:
            if self._status_pace.due(now_s):
                with self._status_pace.sampling(now_s):
                    read = kilobyte_fields(Path(f"/proc/{child.pid}/status"), STATUS_FIELDS)
                if read:
                    self._peak = max(self._peak, read["VmHWM"])
                    kinds = (read["RssAnon"], read["RssFile"], read["RssShmem"])
                    self._moments.append(_Moment(at_s, *kinds))
            if self._rollup_pace.due(now_s):
                with self._rollup_pace.sampling(now_s):
                    read = kilobyte_fields(Path(f"/proc/{child.pid}/smaps_rollup"), ROLLUP_FIELDS)
                if read:
                    self._rollups.append((at_s, read["Pss"], read["AnonHugePages"]))
        except OSError:
            # The process has ended, or belongs to another user; earlier samples are valid.
            return

    def results(self, run: ObservedRun) -> Finding:
        """Memory over time, peaks, and counts of the cgroup during the trial."""
        if not self._moments:
            return Finding(missing="the trial ended before a sample was taken")
        kept = thinned(self._moments, KEPT_SAMPLES)
        rollups = thinned(self._rollups, KEPT_SAMPLES)
        missing = []
        if not self._rollups:
            missing.append("smaps_rollup cannot be read: no proportional set size, no huge pages")
        counts: dict[str, int] = {}
        if self._cgroup is None:
            missing.append("no cgroup memory files: no limit, no events")
        else:
            counts = self._cgroup.difference(self._cgroup_before)
        found = MemoryResult(
            time_s=[round(moment.time_s, 3) for moment in kept],
            anonymous=[moment.anonymous for moment in kept],
            file=[moment.file for moment in kept],
            shared=[moment.shared for moment in kept],
            rollup_time_s=[round(time_s, 3) for time_s, _, _ in rollups],
            pss=[pss for _, pss, _ in rollups],
            anonymous_huge=[huge for _, _, huge in rollups],
            peak_rss=max([self._peak, *(stage.peak_rss_bytes for stage in run.stages)]),
            peaks=self._peaks(run),
            cgroup=counts,
        )
        return Finding(found.model_dump(), missing="; ".join(missing))

    def _peaks(self, run: ObservedRun) -> dict[str, dict[str, int]]:
        peaks: dict[str, dict[str, int]] = {}
        for name in dict.fromkeys(stage.name for stage in run.stages):
            own = [
                moment
                for moment in self._moments
                for stage in run.stages
                if stage.name == name
                and stage.begin_s <= moment.time_s <= stage.begin_s + stage.wall_s
            ]
            exact = max(s.peak_rss_bytes for s in run.stages if s.name == name)
            peaks[name] = {"resident": exact}
            if own:
                most = max(own, key=lambda moment: moment.resident)
                peaks[name] |= {
                    "anonymous": most.anonymous,
                    "file": most.file,
                    "shared": most.shared,
                }
        return peaks


def kilobyte_fields(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    """Fields of a file with ``Name: N kB`` lines, in bytes; empty if a field is absent.

    Parameters
    ----------
    path
        The file, e.g. ``/proc/PID/status``.
    names
        Names of the fields.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name in names:
            found[name] = int(value.split()[0]) * 1024
    return found if len(found) == len(names) else {}
