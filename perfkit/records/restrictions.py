"""What this process is allowed: resource limits, control groups, CPUs, priority."""

from __future__ import annotations

import os
import resource
from dataclasses import asdict, dataclass

from perfkit.records.cgroups import CgroupLimits, cgroup_limits

FEW_FILES = 1024
"""The usual soft limit of open files; fewer are somebody's choice."""

FEW_PROCESSES = 4096
"""Red Hat's default limit of processes and threads per user, the lowest of the common ones."""

POLICIES = {
    os.SCHED_OTHER: "other",
    os.SCHED_BATCH: "batch",
    os.SCHED_IDLE: "idle",
    os.SCHED_FIFO: "fifo",
    os.SCHED_RR: "rr",
}


@dataclass(frozen=True)
class Restrictions:
    """What a process may use; None stands for no limit.

    Parameters
    ----------
    address_bytes, data_bytes, resident_bytes, cpu_time_s, file_bytes, open_files, processes
        Soft resource limits: ``ulimit`` -v, -d, -m, -t, -f, -n and -u.
    cgroup_memory_bytes, cgroup_cpus
        The tightest limits of its control groups.
    allowed_cpus, machine_cpus
        CPUs that it may run on (cpuset, affinity), and CPUs of the machine.
    nice
        Niceness: 0 is normal, above it other programs come first.
    policy
        Scheduling policy, ``other`` where it is the usual one.
    """

    address_bytes: int | None = None
    data_bytes: int | None = None
    resident_bytes: int | None = None
    cpu_time_s: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None
    processes: int | None = None
    cgroup_memory_bytes: int | None = None
    cgroup_cpus: float | None = None
    allowed_cpus: int = 1
    machine_cpus: int = 1
    nice: int = 0
    policy: str = "other"

    def as_dict(self) -> dict[str, float | int | str]:
        """What is limited, without what is not."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def restrictions(limits: CgroupLimits | None = None) -> Restrictions:
    """The restrictions of this process, which its children inherit.

    Parameters
    ----------
    limits
        Of its control groups; read from the kernel if they are not given.
    """
    groups = limits or cgroup_limits()
    # The main thread's CPUs: another thread may have been bound on purpose.
    allowed = os.sched_getaffinity(os.getpid())
    return Restrictions(
        address_bytes=_soft(resource.RLIMIT_AS),
        data_bytes=_soft(resource.RLIMIT_DATA),
        resident_bytes=_soft(resource.RLIMIT_RSS),
        cpu_time_s=_soft(resource.RLIMIT_CPU),
        file_bytes=_soft(resource.RLIMIT_FSIZE),
        open_files=_soft(resource.RLIMIT_NOFILE),
        processes=_soft(resource.RLIMIT_NPROC),
        cgroup_memory_bytes=groups.memory_bytes,
        cgroup_cpus=groups.cpus,
        allowed_cpus=len(allowed),
        machine_cpus=os.cpu_count() or 1,
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        policy=POLICIES.get(os.sched_getscheduler(0), "unknown"),
    )


def restriction_sentences(found: Restrictions, memory_bytes: int) -> list[str]:
    """One sentence for each restriction that changes what a trial can do or how long it takes.

    Parameters
    ----------
    found
        The restrictions.
    memory_bytes
        Memory of the machine; larger memory limits do not bind.
    """
    sentences = [
        f"{what} is limited to {limit / 1e9:.1f} GB ({how}): {effect}"
        for limit, what, how, effect in (
            (
                found.address_bytes,
                "address space",
                "ulimit -v",
                "XLA reserves more than it touches, so allocations fail well below that",
            ),
            (found.data_bytes, "data memory", "ulimit -d", "allocations fail beyond that"),
            (
                found.resident_bytes,
                "resident memory",
                "ulimit -m",
                "Linux ignores this limit; --memory-limit has one kept",
            ),
            (
                found.cgroup_memory_bytes,
                "memory",
                "control group",
                "the kernel ends a trial that needs more",
            ),
        )
        if limit is not None and limit < memory_bytes
    ]
    if found.cpu_time_s is not None:
        sentences.append(
            f"CPU time is limited to {found.cpu_time_s} s per process (ulimit -t): the kernel ends "
            "a trial that takes longer"
        )
    if found.file_bytes is not None:
        sentences.append(
            f"files are limited to {found.file_bytes / 1e9:.3g} GB (ulimit -f): larger results "
            "cannot be written"
        )
    if found.open_files is not None and found.open_files < FEW_FILES:
        sentences.append(f"only {found.open_files} open files are allowed (ulimit -n)")
    if found.processes is not None and found.processes < FEW_PROCESSES:
        sentences.append(
            f"only {found.processes} processes and threads are allowed for this user (ulimit -u)"
        )
    if found.cgroup_cpus is not None and found.cgroup_cpus < found.allowed_cpus:
        sentences.append(
            f"the control group allows the time of {found.cgroup_cpus:g} CPUs, but "
            f"{found.allowed_cpus} are visible: XLA starts a thread for each, and the kernel makes "
            "them wait"
        )
    if found.allowed_cpus < found.machine_cpus:
        sentences.append(
            f"this process may run on {found.allowed_cpus} of {found.machine_cpus} CPUs (cpuset or "
            "affinity)"
        )
    if found.nice > 0:
        sentences.append(
            f"niceness is {found.nice}: other programs come first, and times depend on them"
        )
    if found.nice < 0:
        sentences.append(f"niceness is {found.nice}: trials come before other programs")
    if found.policy != "other":
        sentences.append(f"the scheduling policy is {found.policy!r}, not the usual one")
    return sentences


def _soft(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft
