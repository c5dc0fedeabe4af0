"""A plan against what happened, as ``perfkit plan check`` compares them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import to_jsonable_python

from perfkit.api.reporting import PAGE_NAME
from perfkit.api.subject import seconds_of
from perfkit.capacity.check.check import Check, check_jobs
from perfkit.capacity.check.matching import joined, match_accounts, match_records
from perfkit.capacity.check.planned import PlanFile
from perfkit.capacity.correction.correction import Correction
from perfkit.cluster.accounting import read_accounts
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.records.store import ensure_writable
from perfkit.report.check_page import check_page
from perfkit.report.check_tables import check_sentence
from perfkit.report.writing import write_report

FOLDER = "check"
"""Folder of a check next to its plan, unless another is given."""


@dataclass(frozen=True)
class CheckFiles:
    """Files of a check.

    Attributes
    ----------
    json
        Planned and measured values of all jobs.
    page
        The page.
    correction
        File for ``perfkit plan --correction``; None if no job has finished yet.
    """

    json: Path
    page: Path
    correction: Path | None


@dataclass(frozen=True, repr=False)
class CheckResult:
    """A plan against what happened.

    Attributes
    ----------
    check
        Jobs, their errors and risks, and the correction.
    files
        The files that were written.
    """

    check: Check
    files: CheckFiles

    def __repr__(self) -> str:
        return "\n".join([check_sentence(self.check), f"page: {self.files.page}"])


def check_plan(
    plan: Path | str,
    *,
    records: Path | str | None = None,
    sacct: Path | str | None = None,
    deadline: str | float | None = None,
    correction: Path | str | None = None,
    out: Path | str | None = None,
) -> CheckResult:
    """Compare a plan with what happened, as ``perfkit plan check`` does.

    Parameters
    ----------
    plan
        Folder of the plan, or its ``plan.json``.
    records
        Folder of the results, or of records.
    sacct
        File with the output of ``sacct --parsable2``.
    deadline
        Time after the start of the plan when all jobs should be done: seconds, or text such as
        ``12h``; None for the deadline that the plan was made for, if any.
    correction
        Correction of an earlier check, whose finished jobs are kept.
    out
        Folder for the results; by default ``check`` in the folder of the plan.

    Raises
    ------
    UserError
        An argument or a file is bad, or no job of the plan is found.
    """
    if records is None and sacct is None:
        raise UserError(
            "there is nothing to check the plan against: give --records DIR or --sacct FILE"
        )
    place = Path(plan)
    planned = PlanFile.load(place)
    deadline_s = None if deadline is None else seconds_of(deadline)
    earlier = None if correction is None else Correction.load(Path(correction))
    accounts = read_accounts(Path(sacct)) if sacct is not None else []
    own = match_accounts(planned.jobs, accounts)
    kept = {} if records is None else match_records(planned.jobs, Path(records))
    actual = joined(own, kept)
    if not actual:
        raise UserError(_nothing(place, records, sacct))
    made = check_jobs(planned, actual, earlier=earlier, deadline_s=deadline_s)
    folder = Path(out) if out is not None else (place if place.is_dir() else place.parent) / FOLDER
    return CheckResult(made, _write(folder, made))


def _nothing(plan: Path, records: Path | str | None, sacct: Path | str | None) -> str:
    """Why nothing is known of any job, and how jobs are recognised."""
    searched = []
    if sacct is not None:
        searched.append(
            f"no job in {sacct} is a task of its arrays or has the name of one of its jobs"
        )
    if records is not None:
        searched.append(
            f"{records} has neither a folder of a job's results nor a record of equal model, "
            "size, fidelity and CPUs"
        )
    return f"nothing of the plan {plan} has begun: {'; '.join(searched)}"


def _write(folder: Path, made: Check) -> CheckFiles:
    ensure_writable(folder)
    data, page = folder / "check.json", folder / PAGE_NAME
    learned = folder / "correction.json" if made.correction.jobs else None
    write_whole(data, json.dumps(check_data(made), indent=1) + "\n", "check")
    if learned is not None:
        made.correction.save(learned)
    write_report(page, check_page(made))
    return CheckFiles(data, page, learned)


def check_data(made: Check) -> dict[str, object]:
    """Return a check as plain values, for JSON."""
    jobs = [
        {
            "name": job.planned.name,
            "model": job.planned.model,
            "size": job.planned.size,
            "preset": job.planned.preset,
            "machine": job.planned.machine,
            "state": job.actual.fate,
            "source": job.actual.source,
            "time_s": job.planned.time_s,
            "time_low_s": job.planned.time_low_s,
            "time_high_s": job.planned.time_high_s,
            "measured_time_s": job.actual.time_s,
            "time_inside": job.time_inside,
            "memory_bytes": job.planned.memory_bytes,
            "memory_low_bytes": job.planned.memory_low_bytes,
            "memory_high_bytes": job.planned.memory_high_bytes,
            "measured_memory_bytes": job.actual.memory_bytes,
            "memory_inside": job.memory_inside,
            "out_of_memory_risk": job.memory_risk,
            "time_limit_risk": job.time_risk,
            "deadline_risk": job.deadline_risk,
        }
        for job in made.jobs
    ]
    data = {
        "deadline_s": made.deadline_s,
        "learned": made.learned,
        "groups": [dataclasses.asdict(group) for group in made.groups],
        "jobs": jobs,
        "notices": list(made.notices),
    }
    found: dict[str, object] = to_jsonable_python(data, inf_nan_mode="null")
    return found
