"""What happened to a job: how it ended, and the time and memory that it took."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName


class Fate(StrEnum):
    """What became of a job."""

    FINISHED = "finished"
    OUT_OF_MEMORY = "out of memory"
    TIME_LIMIT = "over its time limit"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Preempted, or lost with its node: it has to run again."""
    RUNNING = "running"
    QUEUED = "queued"

    @property
    def is_ahead(self) -> bool:
        """Whether the job still has to run, or to run on."""
        return self in (Fate.INTERRUPTED, Fate.RUNNING, Fate.QUEUED)


@dataclass(frozen=True)
class Actual:
    """What happened to a job.

    Attributes
    ----------
    fate
        What became of it.
    time_s
        Seconds that it took, or has taken so far; None if unknown.
    memory_bytes
        Peak resident bytes, None if unknown.
    source
        Where this is known from, e.g. the identifier of a Slurm job.
    is_sampled
        Whether the memory was sampled at intervals, so that the true peak may be higher.
    is_as_requested
        Whether it ran under the limits that the plan requests.
    """

    fate: Fate
    time_s: float | None
    memory_bytes: int | None
    source: str
    is_sampled: bool = False
    is_as_requested: bool = False


@dataclass(frozen=True)
class AccountedJob:
    """A job, or a task of an array, in the accounts of a scheduler.

    Attributes
    ----------
    name
        Name of the job or array.
    task
        Number of the task in the array, None for no array.
    actual
        What happened to it.
    """

    name: str
    task: int | None
    actual: Actual


_FATES = {
    Outcome.OK: Fate.FINISHED,
    Outcome.NONFINITE: Fate.FINISHED,
    Outcome.DISAGREES: Fate.FINISHED,
    Outcome.OUT_OF_MEMORY: Fate.OUT_OF_MEMORY,
    Outcome.TIMEOUT: Fate.TIME_LIMIT,
    Outcome.INTERRUPTED: Fate.INTERRUPTED,
}


def actual_of(record: Record) -> Actual:
    """Return what the record of a prediction says of its job.

    The time is that of everything that a plan predicts: the start, the first pass and the check,
    without further timed passes. A command of the user has a single pass, which is all of that.
    Like the laws of a fit, the memory of a traced trial leaves out the check, which reads the
    trace.
    """
    further = None if record.role is Role.FOREIGN else StageName.STEADY
    times = [stage.wall_s for stage in record.stages if stage.name is not further]
    left_out = StageName.CHECK if record.part_times_s else None
    peaks = [stage.peak_rss_bytes for stage in record.stages if stage.name is not left_out]
    peak = max([*peaks, *([] if record.part_times_s else [record.peak_rss_bytes])], default=0)
    return Actual(
        fate=_FATES.get(record.outcome, Fate.FAILED),
        time_s=sum(times) if times else None,
        memory_bytes=peak or None,
        source=f"record {record.id}",
    )
