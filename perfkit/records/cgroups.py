"""Control groups: limits on a group of processes, and the kernel's counters of them.

Versions 1 and 2 are supported. Limits are read from the group of a process and all groups above
it: the tightest limit is in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")

UNLIMITED = 1 << 60
"""Values from here on are no limit: version 1 writes its largest number of pages instead."""


@dataclass(frozen=True)
class Cgroup:
    """A control group.

    Attributes
    ----------
    folder
        Folder of the group.
    version
        Version of control groups (1 or 2), which decides the names of the files.
    """

    folder: Path
    version: int

    def counts(self) -> dict[str, int]:
        """Values of a memory group: ``limit`` and ``peak`` in bytes, and ``event_NAME`` counts.

        A value that the kernel does not provide is left out.
        """
        if self.version == 2:
            found = self._numbers(limit="memory.max", peak="memory.peak")
            return found | self._events("memory.events")
        found = self._numbers(
            limit="memory.limit_in_bytes",
            peak="memory.max_usage_in_bytes",
            event_max="memory.failcnt",
        )
        kills = self._events("memory.oom_control").get("event_oom_kill")
        return found if kills is None else found | {"event_oom_kill": kills}

    def difference(self, before: dict[str, int]) -> dict[str, int]:
        """The current limit and peak, and the number of events since ``before``.

        Parameters
        ----------
        before
            Earlier result of :meth:`counts`.
        """
        return {
            name: value - before.get(name, 0) if name.startswith("event_") else value
            for name, value in self.counts().items()
        }

    def memory_limit_bytes(self) -> int | None:
        """The memory limit of the group; None without a limit.

        ``memory.high`` is included: above it the kernel slows the group down until it is unusable.
        """
        files = ("memory.max", "memory.high") if self.version == 2 else ("memory.limit_in_bytes",)
        limits = list(self._numbers(**{file: file for file in files}).values())
        if self.version == 1:
            # A container hides the groups above its own, but this file has their limit.
            above = self._statistics().get("hierarchical_memory_limit", UNLIMITED)
            limits += [above] if above < UNLIMITED else []
        return min(limits, default=None)

    def memory_used_bytes(self) -> int:
        """Memory that counts against the limit, without the page cache that can be dropped."""
        file = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        cached = "inactive_file" if self.version == 2 else "total_inactive_file"
        used = self._numbers(used=file).get("used", 0)
        return max(0, used - self._statistics().get(cached, 0))

    def cpus(self) -> float | None:
        """The CPU quota of the group in CPUs; None without a quota."""
        if self.version == 2:
            quota, _, period = self._text("cpu.max").partition(" ")
        else:
            quota, period = self._text("cpu.cfs_quota_us"), self._text("cpu.cfs_period_us")
        if not quota.isdigit() or not period.isdigit() or int(period) == 0:
            return None
        return int(quota) / int(period)

    def waited_for_quota_s(self) -> float:
        """Seconds that the CPUs of the group waited for their quota, added up over CPUs."""
        counts = dict(_pairs(self._text("cpu.stat")))
        if self.version == 2:
            return counts.get("throttled_usec", 0) * 1e-6
        return counts.get("throttled_time", 0) * 1e-9

    def _numbers(self, **files: str) -> dict[str, int]:
        texts = {name: self._text(file) for name, file in files.items()}
        numbers = {name: int(text) for name, text in texts.items() if text.isdigit()}
        return {name: number for name, number in numbers.items() if number < UNLIMITED}

    def _events(self, file: str) -> dict[str, int]:
        return {f"event_{name}": count for name, count in _pairs(self._text(file))}

    def _statistics(self) -> dict[str, int]:
        return dict(_pairs(self._text("memory.stat")))

    def _text(self, file: str) -> str:
        try:
            return (self.folder / file).read_text().strip()
        except OSError:
            return ""


@dataclass(frozen=True)
class CgroupLimits:
    """The tightest limits of the control groups of a process; None without a limit.

    Attributes
    ----------
    memory_bytes
        The smallest memory limit.
    memory_left_bytes
        The smallest difference between the limit of a group and the memory that it uses.
    cpus
        The smallest CPU quota, in CPUs.
    """

    memory_bytes: int | None = None
    memory_left_bytes: int | None = None
    cpus: float | None = None


def lineage(
    controller: str, pid: int | str = "self", root: Path = CGROUP_ROOT, proc: Path = PROC
) -> list[Cgroup]:
    """The control groups of a process for one controller, from its own group to the root.

    In a container, the path in ``/proc`` may not exist; the root of the mount is then the group of
    the container. The list is empty if nothing can be read.

    Parameters
    ----------
    controller
        ``memory`` or ``cpu``.
    pid
        Id of the process.
    root, proc
        Mount points of the control groups and of the processes.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found: dict[int, list[Cgroup]] = {}
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            mount, version = root / controller, 1
        elif number == "0" and not controllers:
            unified = root / "unified"
            mount, version = (unified if unified.is_dir() else root), 2
        else:
            continue
        if mount.is_dir():
            found[version] = [Cgroup(folder, version) for folder in _folders(mount, path)]
    # A controller belongs to one version at a time.
    return found.get(1) or found.get(2) or []


def memory_cgroup(pid: int | str, root: Path = CGROUP_ROOT) -> Cgroup | None:
    """The nearest memory group of a process; None if none can be read."""
    file = {1: "memory.limit_in_bytes", 2: "memory.events"}
    groups = lineage("memory", pid, root)
    return next((group for group in groups if (group.folder / file[group.version]).exists()), None)


def cgroup_limits(
    pid: int | str = "self", root: Path = CGROUP_ROOT, proc: Path = PROC
) -> CgroupLimits:
    """The tightest limits of all control groups of a process.

    Parameters
    ----------
    pid, root, proc
        As for :func:`lineage`.
    """
    limited = [
        (limit, limit - group.memory_used_bytes())
        for group in lineage("memory", pid, root, proc)
        if (limit := group.memory_limit_bytes()) is not None
    ]
    quotas = [group.cpus() for group in lineage("cpu", pid, root, proc)]
    return CgroupLimits(
        memory_bytes=min((limit for limit, _ in limited), default=None),
        memory_left_bytes=min((max(0, left) for _, left in limited), default=None),
        cpus=min((quota for quota in quotas if quota is not None), default=None),
    )


def _folders(mount: Path, path: str) -> list[Path]:
    parts = Path(path.lstrip("/")).parts
    if ".." in parts or not mount.joinpath(*parts).is_dir():
        return [mount]
    return [mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _pairs(text: str) -> Iterable[tuple[str, int]]:
    """Names and numbers in a text with one pair per line."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            yield name, int(value)
