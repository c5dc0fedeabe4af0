"""Workers as processes on this machine, which go on when the terminal is closed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from perfkit.cluster.place import Job, JobState, Options, Submission
from perfkit.errors import UserError
from perfkit.files import reason_of

STARTED_FIELD = 19
"""Index of the start time in ``/proc/PID/stat`` after the name of the program, see proc(5)."""

_PID = re.compile(r"[1-9][0-9]{0,9}")


class LocalPlace:
    """Starts workers in sessions of their own.

    A job is called ``HOST:PID-START``, where START is the time at which the process started:
    process IDs are used again.
    """

    def check(self, options: Options) -> None:
        """Refuse options of a scheduler."""
        given = [f"--{name}" for name in ("partition", "exclusive") if getattr(options, name)]
        given += [f"--place-option {name}" for name in options.passed_on]
        if given:
            raise UserError(f"{given[0]} is for a scheduler: add --on slurm, or leave it out")

    def submit(self, submission: Submission) -> list[str]:
        """Start the workers."""
        jobs = []
        for number in range(1, submission.workers + 1):
            log = submission.folder / f"worker-{os.getpid()}-{number}.log"
            try:
                with log.open("ab") as stream:
                    process = subprocess.Popen(
                        submission.command,
                        stdin=subprocess.DEVNULL,
                        stdout=stream,
                        stderr=stream,
                        start_new_session=True,
                    )
            except OSError as error:
                raise UserError(f"a worker cannot be started ({reason_of(error)})") from error
            # The worker goes on without this process, which need not wait for it.
            process.returncode = 0
            jobs.append(f"{socket.gethostname()}:{process.pid}-{_started(process.pid)}")
        return jobs

    def jobs(self, jobs: Sequence[str], logs: Path | None = None) -> list[Job]:
        """The states; how a worker ended is in its own note, not known here."""
        return [_state(job) for job in jobs]

    def cancel(self, jobs: Sequence[str]) -> None:
        """Ask the workers to end."""
        for job in jobs:
            pid = _pid_of(job)
            if pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGTERM)


def _state(job: str) -> Job:
    host = job.partition(":")[0]
    if host != socket.gethostname():
        return Job(job, JobState.UNKNOWN, f"ask on {host}")
    return Job(job, JobState.RUNNING if _pid_of(job) is not None else JobState.ENDED)


def _pid_of(job: str) -> int | None:
    """The process of a job that runs on this host; None if there is none."""
    host, _, process = job.partition(":")
    pid, _, started = process.partition("-")
    if host != socket.gethostname() or not _PID.fullmatch(pid) or started in ("", "0"):
        return None
    return int(pid) if _started(int(pid)) == started else None


def _started(pid: int) -> str:
    """The start time of a process in clock ticks; 0 if it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return "0"
    return "0" if state == "Z" else fields[STARTED_FIELD - 1]
