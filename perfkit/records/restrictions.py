"""Limits on this process: resource limits, control groups, allowed CPUs, priority."""

from __future__ import annotations

import os
import resource
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from perfkit.records.base import OpenModel
from perfkit.records.bounded import Bounded, Count, Finite
from perfkit.records.cgroups import CgroupLimits, cgroup_limits

FEW_FILES = 1024
"""The usual soft limit of open files; a lower limit was set on purpose."""

FEW_PROCESSES = 4096
"""Red Hat's default limit of processes and threads per user, the lowest of the common defaults."""

POLICIES = {
    os.SCHED_OTHER: "other",
    os.SCHED_BATCH: "batch",
    os.SCHED_IDLE: "idle",
    os.SCHED_FIFO: "fifo",
    os.SCHED_RR: "rr",
}


class Restrictions(OpenModel):
    """Limits on a process; None stands for no limit, or for a value that is not recorded.

    A record holds only the values that are not None.

    Attributes
    ----------
    address_bytes, data_bytes, resident_bytes, cpu_time_s, file_bytes, open_files, processes
        Soft resource limits: ``ulimit`` -v, -d, -m, -t, -f, -n and -u.
    cgroup_memory_bytes, cgroup_cpus
        The tightest limits of the control groups, in bytes and in CPUs.
    allowed_cpus
        Number of CPUs that the process may run on (cpuset, affinity).
    machine_cpus
        Number of CPUs of the machine.
    nice
        Niceness: 0 is normal; other programs take precedence over a process with a positive one.
    policy
        Scheduling policy; ``other`` is the default of Linux.
    """

    address_bytes: Count | None = None
    data_bytes: Count | None = None
    resident_bytes: Count | None = None
    cpu_time_s: Count | None = None
    file_bytes: Count | None = None
    open_files: Count | None = None
    processes: Count | None = None
    cgroup_memory_bytes: Count | None = None
    cgroup_cpus: Finite | None = None
    allowed_cpus: Count | None = None
    machine_cpus: Count | None = None
    nice: Bounded | None = None
    policy: str | None = None

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


def restrictions(limits: CgroupLimits | None = None) -> Restrictions:
    """The limits on this process, which its children inherit.

    Parameters
    ----------
    limits
        Limits of its control groups; read from the kernel by default.
    """
    groups = limits or cgroup_limits()
    # The CPUs of the main thread: another thread may have been bound on purpose.
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
    """One sentence for each limit that can change the result or the duration of a trial.

    Parameters
    ----------
    found
        Limits on the process.
    memory_bytes
        Physical memory of the machine; a larger memory limit has no effect.
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
                "Linux ignores this limit; use --memory-limit to enforce one",
            ),
            (
                found.cgroup_memory_bytes,
                "memory",
                "control group",
                "the kernel kills a trial that needs more",
            ),
        )
        if limit is not None and limit < memory_bytes
    ]
    if found.cpu_time_s is not None:
        sentences.append(
            f"CPU time is limited to {found.cpu_time_s} s per process (ulimit -t): the kernel "
            "kills a trial that takes longer"
        )
    if found.file_bytes is not None:
        sentences.append(
            f"files are limited to {found.file_bytes / 1e9:.3g} GB (ulimit -f): larger results "
            "cannot be written"
        )
    if _below(found.open_files, FEW_FILES):
        sentences.append(f"only {found.open_files} open files are allowed (ulimit -n)")
    if _below(found.processes, FEW_PROCESSES):
        sentences.append(
            f"only {found.processes} processes and threads are allowed for this user (ulimit -u)"
        )
    if _below(found.cgroup_cpus, found.allowed_cpus):
        sentences.append(
            f"the control group allows the time of {found.cgroup_cpus:g} CPUs, but "
            f"{found.allowed_cpus} are visible: XLA starts one thread per CPU, and the kernel "
            "makes them wait"
        )
    if _below(found.allowed_cpus, found.machine_cpus):
        sentences.append(
            f"this process may run on {found.allowed_cpus} of {found.machine_cpus} CPUs (cpuset or "
            "affinity)"
        )
    if _below(0, found.nice):
        sentences.append(
            f"niceness is {found.nice}: other programs take precedence, and times depend on them"
        )
    if _below(found.nice, 0):
        sentences.append(f"niceness is {found.nice}: trials take precedence over other programs")
    if found.policy not in (None, "other"):
        sentences.append(
            f"the scheduling policy is {found.policy!r}, not 'other', the default of Linux"
        )
    return sentences


def _below(value: float | None, bound: float | None) -> bool:
    """Whether both are known and ``value`` is the smaller."""
    return value is not None and bound is not None and value < bound


def _soft(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    # RLIM_INFINITY is -1; limits of 2**63 and more are negative too.
    return None if soft < 0 else soft
