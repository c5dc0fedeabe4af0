"""Whether a trial died for lack of memory, judged from counters, logs and its last sample."""

from __future__ import annotations

from dataclasses import dataclass

NEAR = 0.9
"""Share of a limit from which a process that died is taken to have reached it: between two samples
it may grow by half a gigabyte."""

EXHAUSTED = 0.1
"""Share of free memory below which the machine is nearly exhausted. Programs that watch memory
(earlyoom, systemd-oomd) kill from there on, and the kernel's log does not mention it."""


@dataclass(frozen=True)
class MemoryEvidence:
    """What was observed of memory around a child's death; None for what cannot be read.

    Attributes
    ----------
    log_line
        Message of the kernel's log that it killed this process for lack of memory, or empty.
    other_kill
        Whether the kernel's log reports that it killed another process for lack of memory.
    group_kills
        Kills that the process's memory control group counted in the last seconds.
    machine_kills
        Kills that the kernel counted on the whole machine in the last seconds.
    group_failures
        Allocations over its limit that the control group counted in the last seconds.
    resident_bytes
        Resident set of the process tree in its last sample.
    address_bytes
        Largest address space of a process of the tree in its last sample.
    group_limit_bytes
        Limit of the control group with the least memory left.
    group_used_bytes
        Memory of that control group when it was last read.
    address_limit_bytes
        Limit of the address space (``ulimit -v``).
    available_bytes
        Free memory of the machine when it was last read.
    machine_bytes
        Memory of the machine.
    cpu_s
        CPU seconds that the process tree had used in its last sample.
    cpu_limit_s
        Limit of the CPU time in seconds (``ulimit -t``).
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


def memory_kill_reason(evidence: MemoryEvidence) -> str | None:
    """Why a child that was killed was killed for lack of memory; None if nothing shows it.

    A counter or a log is proof. Without proof, memory is taken as the cause if the process was
    close to a limit, or held the largest part of a nearly exhausted memory. If counters show that
    the kernel killed nothing, the process itself must have been close to the limit, because batch
    systems kill for that too.
    """
    if evidence.log_line:
        return f"the kernel's log says: {evidence.log_line}"
    if evidence.group_kills and not evidence.other_kill:
        return f"its memory control group counted {evidence.group_kills} kill(s) for lack of memory"
    if evidence.machine_kills and not evidence.other_kill:
        return f"the kernel counted {evidence.machine_kills} kill(s) for lack of memory"
    limit, held = evidence.group_limit_bytes, evidence.resident_bytes
    counted = evidence.group_kills is not None or evidence.machine_kills is not None
    near = held if counted else max(held, evidence.group_used_bytes)
    if limit is not None and near >= NEAR * limit:
        failures = ""
        if evidence.group_failures:
            failures = f", and {evidence.group_failures} allocations exceeded it"
        return (
            f"{_gb(held)} resident, {_gb(evidence.group_used_bytes)} in its control group, whose "
            f"limit is {_gb(limit)}{failures}"
        )
    free = evidence.available_bytes
    if free is not None and free < EXHAUSTED * evidence.machine_bytes and held > free:
        total = _gb(evidence.machine_bytes)
        return f"{_gb(held)} resident, {_gb(free)} of the machine's {total} free"
    return None


def address_space_reason(evidence: MemoryEvidence) -> str | None:
    """Why allocations failed because of ``ulimit -v``; None if nothing shows it."""
    limit = evidence.address_limit_bytes
    if limit is None or evidence.address_bytes < NEAR * limit:
        return None
    return f"address space of {_gb(evidence.address_bytes)}, ulimit -v allows {_gb(limit)}"


def other_kill_reason(evidence: MemoryEvidence) -> str:
    """Why a kill is not attributed to memory, as a clause of a reason."""
    if evidence.cpu_limit_s is not None and evidence.cpu_s >= NEAR * evidence.cpu_limit_s:
        return f"{evidence.cpu_s:.0f} s of CPU time used, ulimit -t allows {evidence.cpu_limit_s} s"
    free = "" if evidence.available_bytes is None else f", {_gb(evidence.available_bytes)} free"
    return f"nothing shows that memory ran out ({_gb(evidence.resident_bytes)} resident{free})"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
