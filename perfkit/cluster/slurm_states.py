"""The states of jobs, as Slurm's own programs report them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence

from perfkit.cluster.place import Job, JobState

ANSWER_S = 30.0
"""Seconds after which a program of Slurm is no longer waited for: the controller may be down."""

STATES = {
    "BOOT_FAIL": JobState.NODE_FAILED,
    "CANCELLED": JobState.CANCELLED,
    "COMPLETED": JobState.ENDED,
    "COMPLETING": JobState.RUNNING,
    "CONFIGURING": JobState.QUEUED,
    "DEADLINE": JobState.TIME_LIMIT,
    "FAILED": JobState.FAILED,
    "NODE_FAIL": JobState.NODE_FAILED,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "PENDING": JobState.QUEUED,
    "PREEMPTED": JobState.PREEMPTED,
    "REQUEUED": JobState.QUEUED,
    "REQUEUE_FED": JobState.QUEUED,
    "REQUEUE_HOLD": JobState.QUEUED,
    "RESIZING": JobState.RUNNING,
    "RESV_DEL_HOLD": JobState.QUEUED,
    "REVOKED": JobState.CANCELLED,
    "RUNNING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "SPECIAL_EXIT": JobState.QUEUED,
    "STAGE_OUT": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "TIMEOUT": JobState.TIME_LIMIT,
}
"""Slurm's states, see "JOB STATE CODES" in squeue(1)."""

NOT_KNOWN = "Slurm no longer knows the job"
NO_ANSWER = "Slurm does not answer"

JOB = re.compile(r"\d+(_\d+)?")

type Run = Callable[[Sequence[str]], str | None]
"""Runs a program and returns its standard output; None where it is missing or fails."""


def run_program(command: Sequence[str]) -> str | None:
    """Run a program of Slurm; None where it is missing, fails, or does not answer."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=ANSWER_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def slurm_jobs(jobs: Sequence[str], run: Run = run_program) -> list[Job]:
    """Ask Slurm for the states of jobs.

    The accounting is asked for jobs that have ended. Many sites have none; there, the controller
    knows a job for some minutes after its end.

    Parameters
    ----------
    jobs
        Jobs, e.g. ``12_3`` for a task of an array.
    run
        Runs a program.
    """
    asked = [job for job in jobs if JOB.fullmatch(job)]
    if not asked:
        return [Job(job, JobState.ENDED, NOT_KNOWN) for job in jobs]
    own = f"--user={os.getuid()}"
    queue = run(["squeue", "--noheader", own, "--array", "--states=all", "--format=%i|%T|%r|%N"])
    listed = ",".join(dict.fromkeys(job.partition("_")[0] for job in asked))
    fields = "--format=JobID,State,ExitCode,NodeList"
    ended = run(["sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={listed}", fields])
    found = _read(ended or "") | _read(queue or "")
    gone = (JobState.UNKNOWN, NO_ANSWER) if queue is None else (JobState.ENDED, NOT_KNOWN)
    return [found.get(job, Job(job, *gone)) for job in jobs]


def _read(text: str) -> dict[str, Job]:
    """Parse lines of job, state, reason or exit code, and nodes."""
    found: dict[str, Job] = {}
    for line in text.splitlines():
        job, *rest = line.strip().split("|")
        if len(rest) != 3 or not JOB.fullmatch(job):
            continue
        word, reason, nodes = rest[0].split(" ")[0].rstrip("+"), rest[1], rest[2]
        state = STATES.get(word, JobState.UNKNOWN)
        if reason == "OutOfMemory":
            state = JobState.OUT_OF_MEMORY
        elif reason == "TimeLimit" and state.is_over:
            state = JobState.TIME_LIMIT
        said = [word.lower().replace("_", " ")]
        said += [reason] if reason not in ("", "None", "0:0") else []
        said += [f"on {nodes}"] if nodes not in ("", "None assigned") else []
        found[job] = Job(job, state, ", ".join(said))
    return found
