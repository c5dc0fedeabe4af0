"""Workers as tasks of a Slurm array, which submitit submits."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perfkit.cluster.place import NAME, Job, Options, Submission
from perfkit.cluster.slurm_logs import explained
from perfkit.cluster.slurm_states import ANSWER_S, JOB, slurm_jobs
from perfkit.cluster.start_worker import start
from perfkit.errors import MissingDependencyError, UserError
from perfkit.printable import printable

SLURM = "slurm"
"""Name of the place."""

SIGNAL_S = 30
"""Seconds before the time limit at which Slurm asks a worker to end and to give its unit back.
Slurm itself counts time limits to within a minute."""

UNSAFE_IN_PATHS = frozenset("\"'\\%")
"""Characters that Slurm interprets in the names of logs."""

OPTION_NAME = re.compile(r"[a-z][a-z0-9-]{1,40}")


class SlurmPlace:
    """Submits workers through submitit.

    Parameters
    ----------
    cluster
        Name of submitit's executor; ``local`` runs the tasks on this machine without a scheduler.
    """

    def __init__(self, cluster: str = SLURM) -> None:
        self._cluster = cluster

    def check(self, options: Options) -> None:
        """Refuse options that Slurm cannot take."""
        _submitit()
        if self._cluster == SLURM and shutil.which("sbatch") is None:
            raise UserError(
                "sbatch is not found: --on slurm submits from a machine with Slurm's programs; "
                "--script writes a script to submit elsewhere"
            )
        check_slurm_options(options)

    def submit(self, submission: Submission) -> list[str]:
        """Submit the workers as one array."""
        submitit = _submitit()
        options = submission.options
        refuse_unsafe(submission.folder)
        executor = submitit.AutoExecutor(folder=submission.folder, cluster=self._cluster)
        executor.update_parameters(**_parameters(options, submission.workers))
        try:
            with executor.batch():
                jobs = [
                    executor.submit(start, submission.command) for _ in range(submission.workers)
                ]
        except (submitit.core.utils.UncompletedJobError, RuntimeError) as error:
            raise UserError(f"Slurm refused the workers: {_last_line(error)}") from error
        return [str(job.job_id) for job in jobs]

    def jobs(self, jobs: Sequence[str], logs: Path | None = None) -> list[Job]:
        """The states by ``squeue``, by ``sacct`` where there is accounting, and by the logs."""
        found = slurm_jobs(jobs)
        return found if logs is None else [explained(job, logs) for job in found]

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel the jobs with ``scancel``."""
        own = [job for job in jobs if JOB.fullmatch(job)]
        if not own:
            return
        try:
            done = subprocess.run(
                ["scancel", *own], capture_output=True, text=True, check=False, timeout=ANSWER_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"scancel does not work ({error}): try again later") from error
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            raise UserError(f"scancel failed: {printable(done.stderr.strip())}")


def check_slurm_options(options: Options) -> None:
    """Refuse options that would make no valid job.

    Raises
    ------
    UserError
        An option is impossible.
    """
    if options.cpus is None and not options.exclusive:
        raise UserError(
            "a worker needs to know its CPUs: give --cpus-per-worker N, or --exclusive for whole "
            "nodes"
        )
    if options.partition is not None and not options.partition.isprintable():
        raise UserError(
            f"the name of the partition holds control characters: {options.partition!r}"
        )
    refuse_options(options.passed_on)


def refuse_options(passed_on: Mapping[str, str | None]) -> None:
    """Refuse options of ``sbatch`` that are none, or whose values would make further lines.

    Raises
    ------
    UserError
        An option is impossible.
    """
    for name, value in passed_on.items():
        if not OPTION_NAME.fullmatch(name):
            raise UserError(
                f"--place-option takes the long name of an option of sbatch, not {name!r}"
            )
        if value is not None and not value.isprintable():
            raise UserError(f"the value of {name} holds control characters: {value!r}")


def refuse_unsafe(folder: Path) -> None:
    """Refuse a folder in whose name Slurm would replace or drop something.

    Raises
    ------
    UserError
        The name holds such characters.
    """
    bad = [each for each in str(folder) if each in UNSAFE_IN_PATHS or not each.isprintable()]
    if bad:
        raise UserError(
            f"Slurm writes no logs below {folder}: the name holds {bad[0]!r}; give another folder "
            "with --out"
        )


def slurm_minutes(options: Options) -> int:
    """The time limit in minutes; Slurm interprets 0 as none."""
    return max(1, math.ceil(options.time_s / 60))


def srun_arguments(options: Options) -> list[str]:
    """Arguments with which ``srun`` gives a worker the CPUs that its job was granted.

    Since version 22.05, ``srun`` takes one CPU unless it is given their number. Where Slurm binds
    tasks, it then binds the worker to the granted ones. A whole node is not bound: its task counts
    as one of a single CPU.
    """
    return ["--cpu-bind=none"] if options.cpus is None else [f"--cpus-per-task={options.cpus}"]


def _parameters(options: Options, workers: int) -> dict[str, Any]:
    passed_on = {
        name: True if value is None else value for name, value in options.passed_on.items()
    }
    if options.exclusive:
        # All memory of the node; otherwise a worker has the default memory of one CPU.
        passed_on.setdefault("mem", "0")
    parameters: dict[str, Any] = {
        "name": NAME,
        "timeout_min": slurm_minutes(options),
        "slurm_array_parallelism": workers,
        "slurm_signal_delay_s": SIGNAL_S,
        "slurm_srun_args": srun_arguments(options),
        "slurm_additional_parameters": passed_on,
    }
    if options.cpus is not None:
        parameters["cpus_per_task"] = options.cpus
    if options.partition is not None:
        parameters["slurm_partition"] = options.partition
    if options.exclusive:
        parameters["slurm_exclusive"] = True
    return parameters


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return printable(next((line for line in reversed(lines) if "error" in line.lower()), lines[-1]))


def _submitit() -> Any:
    try:
        import submitit
        import submitit.core.utils
    except ImportError:
        raise MissingDependencyError(
            "--on slurm needs submitit: pip install 'perfkit[slurm]'; --script works without it"
        ) from None
    return submitit
