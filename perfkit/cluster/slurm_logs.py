"""What Slurm wrote to the log of a job about its end.

``squeue`` shows a job whose step ran out of memory as failed: the batch script ended with the exit
code of ``srun``. Only the log says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from perfkit.cluster.place import Job, JobState

SPEAKERS = ("slurmstepd", "srun:")
"""Begins of the lines that Slurm writes to the logs of jobs."""

OUT_OF_MEMORY = ("oom-kill event", "out of memory", "exceeded memory limit", "job memory limit")
"""Parts of these lines, in lower case: a control group was full, or polled memory was too large."""

TAIL_BYTES = 64 * 1024
"""Size of the end of a log that is read."""


def explained(job: Job, logs: Path) -> Job:
    """A job with the reason of its failure, if its log gives one.

    Parameters
    ----------
    job
        The job, as the programs of Slurm describe it.
    logs
        Folder of the logs of :class:`perfkit.cluster.slurm_place.SlurmPlace`, or of the scripts of
        :func:`perfkit.cluster.array_script.write_array_script`.
    """
    if job.state is not JobState.FAILED:
        return job
    for line in _lines(job, logs):
        if line.startswith(SPEAKERS) and any(part in line.lower() for part in OUT_OF_MEMORY):
            return replace(job, state=JobState.OUT_OF_MEMORY)
    return job


def _lines(job: Job, logs: Path) -> Iterator[str]:
    for name in (f"{job.id}_0_log.err", f"{job.id.replace('_', '-')}.log"):
        with suppress(OSError), (logs / name).open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            yield from stream.read().decode(errors="replace").splitlines()
