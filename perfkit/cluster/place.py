"""A place: where workers of a shared study run. The interface, and what passes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

NAME = "perfkit"
"""Name of the jobs."""

TIME_S = 3600.0
"""Default time limit of a job, in seconds: schedulers want one, and short jobs start sooner."""

WORKERS = 4
"""Default number of workers at the same time."""


class JobState(StrEnum):
    """State of a job of any place."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"
    OUT_OF_MEMORY = "out of memory"
    TIME_LIMIT = "over its time limit"
    PREEMPTED = "preempted"
    NODE_FAILED = "lost with its node"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Job:
    """A job, which is one worker.

    Attributes
    ----------
    id
        Identity at its place.
    state
        State.
    detail
        What the place says of it, e.g. why it is queued; empty if nothing.
    """

    id: str
    state: JobState
    detail: str = ""


@dataclass(frozen=True)
class Options:
    """What a person may ask of a place.

    Attributes
    ----------
    partition
        Partition, None for the default one.
    time_s
        Time limit of each job, in seconds.
    exclusive
        Whether each worker gets a node of its own.
    cpus
        CPUs of each worker; None leaves it to the place.
    workers
        Most workers at the same time.
    passed_on
        Further options of the scheduler by name, without dashes; None for those without a value.
    """

    partition: str | None = None
    time_s: float = TIME_S
    exclusive: bool = False
    cpus: int | None = None
    workers: int = WORKERS
    passed_on: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """Workers to start.

    Attributes
    ----------
    command
        Words of the command of a worker. All workers run the same one.
    workers
        Number of workers.
    folder
        Folder for logs and for files of the place; it exists, and all nodes see it.
    options
        What was asked for.
    """

    command: tuple[str, ...]
    workers: int
    folder: Path
    options: Options = field(default_factory=Options)


class Place(Protocol):
    """Where workers run. A place knows nothing of studies."""

    def check(self, options: Options) -> None:
        """Refuse options that are impossible here, before anything is written.

        Raises
        ------
        UserError
            An option is impossible, or the place is not available on this machine.
        """
        ...

    def submit(self, submission: Submission) -> list[str]:
        """Start workers, which go on when this process ends, and return their jobs.

        Raises
        ------
        UserError
            The workers cannot be started.
        """
        ...

    def jobs(self, jobs: Sequence[str], logs: Path | None = None) -> list[Job]:
        """The states of jobs, in their order.

        Parameters
        ----------
        jobs
            Identities of jobs.
        logs
            Folder of their logs, which may say why they failed.
        """
        ...

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs that have not ended. Each gets the time to give its unit back."""
        ...
