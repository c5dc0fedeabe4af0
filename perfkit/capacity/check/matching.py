"""Which records and which jobs of a scheduler belong to the jobs of a plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from perfkit.capacity.check.actual import AccountedJob, Actual, Fate, actual_of
from perfkit.capacity.check.planned import PlannedRow
from perfkit.errors import UserError
from perfkit.file_names import file_name
from perfkit.records.roles import Role
from perfkit.records.schema import Record
from perfkit.records.store import PATTERN, read_records

RESULTS = "results"
"""Folder of a plan's results, with a folder per job."""

PREDICTIONS = (Role.SINGLE, Role.FULL_FIDELITY)
"""Roles of records that are predictions."""


def match_records(jobs: Sequence[PlannedRow], folder: Path) -> dict[str, Actual]:
    """Return name of a job to what its record says.

    A job's record is the last in the folder of its results, below ``folder`` or below its
    ``results``; else the last in ``folder`` itself of a command of the user that predicted an input
    of its name, model and size; else a record there of the same model, size, fidelity and number of
    CPUs. Of several equal jobs each gets one of the latter records. The record of a command does
    not state its fidelity, and one of several inputs belongs to no single job.

    Parameters
    ----------
    jobs
        Jobs of the plan.
    folder
        Folder of records, or folder of the plan.

    Raises
    ------
    UserError
        There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to read records from")
    found: dict[str, Actual] = {}
    for job in jobs:
        record = _own_record(job, folder)
        if record is not None:
            found[job.name] = actual_of(record)
    alike: dict[object, list[Record]] = defaultdict(list)
    commands: dict[object, Record] = {}
    for record in read_records(folder) if _has_records(folder) else ():
        if record.role in PREDICTIONS and record.is_prediction:
            alike[_key_of_record(record)].append(record)
        elif record.role is Role.FOREIGN:
            workload = record.workload
            # The records come oldest first.
            commands[workload.model, file_name(workload.name), workload.size] = record
    for job in jobs:
        if job.name in found:
            continue
        command = commands.get((job.model, file_name(job.name), job.size))
        left = alike.get(_key_of_job(job))
        if command is not None:
            found[job.name] = actual_of(command)
        elif left:
            found[job.name] = actual_of(left.pop(0))
    return found


def _own_record(job: PlannedRow, folder: Path) -> Record | None:
    if job.folder is None:
        return None
    for place in (folder / RESULTS / job.folder, folder / job.folder):
        if place.is_dir() and _has_records(place):
            return max(read_records(place), key=lambda record: record.created, default=None)
    return None


def _has_records(folder: Path) -> bool:
    return any(folder.glob(PATTERN))


def _key_of_job(job: PlannedRow) -> object:
    return job.model, job.size, job.cpus, tuple(sorted(job.fidelity.items()))


def _key_of_record(record: Record) -> object:
    workload = record.workload
    fidelity = tuple(sorted(workload.fidelity.items()))
    return workload.model, workload.size, record.allowed_cpus, fidelity


def match_accounts(
    jobs: Sequence[PlannedRow], accounts: Iterable[AccountedJob]
) -> dict[str, Actual]:
    """Return name of a job to what a scheduler says of it.

    A job's account is that of its task of the plan's array; else one whose name is the job's, as
    given or as a file name. Of several accounts, e.g. after the plan was submitted again, it is the
    last that finished, else the last.

    Parameters
    ----------
    jobs
        Jobs of the plan.
    accounts
        Accounts in the order in which the jobs were submitted.
    """
    by_task: dict[tuple[str, int | None], list[Actual]] = defaultdict(list)
    by_name: dict[str, list[Actual]] = defaultdict(list)
    for account in accounts:
        by_task[account.name, account.task].append(account.actual)
        by_name[account.name].append(account.actual)
    found: dict[str, Actual] = {}
    for job in jobs:
        own = by_task.get((job.array, job.task)) if job.array is not None else None
        if own:
            found[job.name] = _as_requested(job, _best(own))
            continue
        named = by_name.get(job.name) or by_name.get(file_name(job.name))
        if named:
            found[job.name] = _best(named)
    return found


def _as_requested(job: PlannedRow, actual: Actual) -> Actual:
    """What happened to a job under the limits that the plan requests.

    Where Slurm samples the memory instead of limiting it (``OverMemoryKill``), it ends a job that
    exceeds its memory, and the job has merely failed in the accounts.
    """
    request = job.array_memory_bytes
    over = request is not None and (actual.memory_bytes or 0) > request
    fate = Fate.OUT_OF_MEMORY if over and actual.fate is Fate.FAILED else actual.fate
    return replace(actual, fate=fate, is_as_requested=True)


def _best(actuals: Sequence[Actual]) -> Actual:
    finished = [actual for actual in actuals if actual.fate is Fate.FINISHED]
    return (finished or list(actuals))[-1]


def joined(accounts: Mapping[str, Actual], records: Mapping[str, Actual]) -> dict[str, Actual]:
    """Return what is known of each job from both.

    A record knows time and memory of a finished job better: its memory is not sampled, and its
    time leaves the scheduler out. Of other jobs the scheduler knows more.
    """
    found = dict(accounts)
    for name, record in records.items():
        if name not in found or record.fate is Fate.FINISHED:
            found[name] = record
    return found
