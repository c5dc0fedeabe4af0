"""Control groups: what the kernel allows a group of processes, and what it counts of them.

Versions 1 and 2 are read, and every group from a process's own up to the root: the tightest limit
of all is the one in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")

UNLIMITED = 1 << 60
"""Version 1 writes its largest number of pages where there is no limit."""


@dataclass(frozen=True)
class Cgroup:
    """A control group: its folder, and the version that names its files (2 or 1)."""

    folder: Path
    version: int

    def counts(self) -> dict[str, int]:
        """What a memory cgroup counts: ``limit``, ``peak``, and one entry per event."""
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
        """Limit and peak as they are now, events since ``before``."""
        return {
            name: value - before.get(name, 0) if name.startswith("event_") else value
            for name, value in self.counts().items()
        }

    def memory_limit_bytes(self) -> int | None:
        """The group's own memory limit, None where it has none.

        ``memory.high`` counts too: above it the kernel slows the group down until it is unusable.
        """
        files = ("memory.max", "memory.high") if self.version == 2 else ("memory.limit_in_bytes",)
        limits = list(self._numbers(**{file: file for file in files}).values())
        if self.version == 1:
            # In a container the groups above are hidden; their limit stands here all the same.
            above = self._statistics().get("hierarchical_memory_limit", UNLIMITED)
            limits += [above] if above < UNLIMITED else []
        return min(limits, default=None)

    def memory_used_bytes(self) -> int:
        """Memory that counts against the limit and cannot be dropped without loss."""
        file = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        cached = "inactive_file" if self.version == 2 else "total_inactive_file"
        used = self._numbers(used=file).get("used", 0)
        return max(0, used - self._statistics().get(cached, 0))

    def cpus(self) -> float | None:
        """How many CPUs' time the group's own quota allows, None where it has none."""
        if self.version == 2:
            quota, _, period = self._text("cpu.max").partition(" ")
        else:
            quota, period = self._text("cpu.cfs_quota_us"), self._text("cpu.cfs_period_us")
        if not quota.isdigit() or not period.isdigit() or int(period) == 0:
            return None
        return int(quota) / int(period)

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
    """The tightest limits of a process's control groups; None where there is none.

    Parameters
    ----------
    memory_bytes, memory_left_bytes
        The smallest memory limit, and the least that any group still leaves.
    cpus
        The smallest quota, in CPUs.
    """

    memory_bytes: int | None = None
    memory_left_bytes: int | None = None
    cpus: float | None = None


def lineage(
    controller: str, pid: int | str = "self", root: Path = CGROUP_ROOT, proc: Path = PROC
) -> list[Cgroup]:
    """The control groups of a process for one controller, its own first, the root last.

    Inside a container the path that ``/proc`` gives may not exist; the root of what is mounted is
    then the container's own group. Empty where nothing can be read.

    Parameters
    ----------
    controller
        ``memory`` or ``cpu``.
    pid
        The process.
    root, proc
        Where the groups and the processes are mounted.
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
    # A controller belongs to one version at a time; where 1 has it, 2 has not.
    return found.get(1) or found.get(2) or []


def memory_cgroup(pid: int | str, root: Path = CGROUP_ROOT) -> Cgroup | None:
    """The nearest memory cgroup of a process, None where there is none to be read."""
    file = {1: "memory.limit_in_bytes", 2: "memory.events"}
    groups = lineage("memory", pid, root)
    return next((one for one in groups if (one.folder / file[one.version]).exists()), None)


def cgroup_limits(
    pid: int | str = "self", root: Path = CGROUP_ROOT, proc: Path = PROC
) -> CgroupLimits:
    """The tightest limits over all control groups of a process; see :func:`lineage`."""
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
    """Names and numbers of a file with one pair per line."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            yield name, int(value)
