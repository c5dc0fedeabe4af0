"""Studies that workers share: submitting them to a place, following them, and ending them."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from perfkit.cluster.array_script import write_array_script
from perfkit.cluster.place import JobState, Options, Submission
from perfkit.cluster.places import LOCAL, make_place
from perfkit.cluster.slurm_place import check_slurm_options
from perfkit.cluster.study_status import StudyStatus, UnitState, UnitStatus, jobs_of, study_status
from perfkit.errors import UserError
from perfkit.records.store import ensure_writable
from perfkit.shared_study.plan import SharedPlan, Unit, write_plan
from perfkit.shared_study.study import SharedStudy

WORKER_MODULE = "perfkit.api.shared.worker"

FOLLOW_S = 5.0
"""Seconds between two looks at a study that is followed."""

LEFT = "the study goes on without this command"


@dataclass(frozen=True)
class Elsewhere:
    """Where a study runs if not in this process.

    Attributes
    ----------
    on
        Name of the place, a key of :data:`perfkit.cluster.places.PLACES`.
    options
        What is asked of the place.
    script
        Whether a script for ``sbatch`` is written and nothing is submitted.
    follow
        Whether to wait until the study ends. The study does not depend on it.
    """

    on: str = LOCAL
    options: Options = field(default_factory=Options)
    script: bool = False
    follow: bool = True

    def check(self) -> None:
        """Refuse what the place cannot do.

        Raises
        ------
        UserError
            An option is impossible, or the place is not available.
        """
        if self.options.workers < 1:
            raise UserError(f"--array-limit takes 1 or more, not {self.options.workers}")
        if self.script:
            check_slurm_options(self.options)
        else:
            make_place(self.on).check(self.options)


@dataclass(frozen=True)
class Call:
    """A call whose work is divided into units.

    Attributes
    ----------
    kind
        Name of the call, a key of :data:`perfkit.api.shared.worker.KINDS`.
    arguments
        Its arguments.
    units
        Its units.
    grows
        Whether workers find further units as they go, and finish these last.
    """

    kind: str
    arguments: Mapping[str, JsonValue]
    units: Sequence[Unit]
    grows: bool = False


def share(
    folder: Path,
    call: Call,
    where: Elsewhere,
    say: Callable[[str], object],
    wait: Callable[[float], object] = time.sleep,
) -> StudyStatus | None:
    """Start workers for a call, or take up the study that its folder holds, and follow it.

    Parameters
    ----------
    folder
        Folder of the study, which all nodes see.
    call
        The call and its units.
    where
        The place.
    say
        Receives one line per event.
    wait
        Waits for a number of seconds.

    Returns
    -------
    StudyStatus or None
        The state when the study ended, or after the submission if it is not followed; None where a
        script was written.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C ended the following, and not the study.
    UserError
        The folder holds another study, or the workers cannot be started.
    """
    where.check()
    ensure_writable(folder)
    folder = folder.resolve()
    plan = SharedPlan(
        kind=call.kind,
        arguments=dict(call.arguments),
        folder=str(Path.cwd()),
        units=tuple(call.units),
        grows=call.grows,
        workers=where.options.workers,
    )
    write_plan(folder, plan)
    study = SharedStudy(folder)
    study.resume()
    if where.script:
        script = write_array_script(study.sharing, sys.executable, WORKER_MODULE, where.options)
        say(f"script: {script} (it submits the workers; follow them with: {_status(folder)})")
        return None
    status = study_status(study, jobs_of(study))
    if not status.is_finished and not status.has_workers:
        start_workers(study, where)
    return follow(study, say, wait) if where.follow else study_status(study, jobs_of(study))


def start_workers(study: SharedStudy, where: Elsewhere) -> list[str]:
    """Start as many workers as there are open units, up to the limit, and note their jobs.

    A growing study gets as many as the limit allows, since its units are not known yet.
    """
    command = (sys.executable, "-P", "-m", WORKER_MODULE, str(study.folder))
    count = where.options.workers
    if not study.plan.grows:
        count = min(count, len(study.open_units()))
    study.logs.mkdir(exist_ok=True)
    jobs = make_place(where.on).submit(Submission(command, count, study.logs, where.options))
    study.notes.note_jobs(where.on, jobs)
    return jobs


def follow(
    study: SharedStudy, say: Callable[[str], object], wait: Callable[[float], object] = time.sleep
) -> StudyStatus:
    """Report changes until no unit is open, or no worker is left.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C ended the following, and not the study.
    """
    say(f"{LEFT}, see: {_status(study.folder)}")
    known: dict[str, UnitStatus] = {}
    try:
        while True:
            status = study_status(study, jobs_of(study))
            for unit in status.units:
                before = known.get(unit.label, UnitStatus(unit.label, UnitState.QUEUED))
                if before != unit:
                    say(unit_line(unit))
                known[unit.label] = unit
            if status.is_finished or status.cancelled or not status.has_workers:
                say(status.sentence)
                return status
            wait(FOLLOW_S)
    except KeyboardInterrupt:
        say(f"no longer followed; {LEFT}")
        raise


def unfinished_sentence(status: StudyStatus, folder: Path) -> str:
    """What a study lacks and what to do; empty if all of its units have records."""
    counts = status.counts
    left = counts[UnitState.QUEUED] + counts[UnitState.RUNNING]
    if not left:
        return ""
    if status.has_workers and not status.cancelled:
        return f"{left} units are not finished: {LEFT}, see: {_status(folder)}"
    return (
        f"{left} units are not finished and no worker is left: the same command starts new ones; "
        f"the reasons: {_status(folder)}"
    )


def unit_line(unit: UnitStatus) -> str:
    """A unit in one line."""
    where = f" on {unit.where}" if unit.where else ""
    why = f": {unit.why}" if unit.why else ""
    return f"{unit.label}: {unit.state}{where}{why}"


def status_of(folder: Path) -> StudyStatus:
    """The state of a shared study, as ``perfkit status`` shows it.

    Raises
    ------
    UserError
        The folder holds no shared study.
    """
    study = SharedStudy(folder)
    return study_status(study, jobs_of(study))


def cancel_study(folder: Path) -> int:
    """End the workers of a study. What is finished stays, and the same command resumes the rest.

    Returns
    -------
    int
        Number of jobs that were ended.

    Raises
    ------
    UserError
        The folder holds no shared study, or a job cannot be ended.
    """
    study = SharedStudy(folder)
    study.cancel()
    ended = 0
    for place, jobs in study.notes.jobs():
        at = make_place(place)
        asked = at.jobs(jobs)
        # A job that nobody knows the state of may run.
        living = [job.id for job in asked if not job.state.is_over or job.state is JobState.UNKNOWN]
        at.cancel(living)
        ended += len(living)
    return ended


def as_json(value: object) -> JsonValue:
    """An argument of a call as JSON: paths become text, and relative ones stay so."""
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(each) for each in value]
    if value is None or isinstance(value, str | int | float | bool):
        plain: JsonValue = value
        return plain
    raise TypeError(f"{value!r} cannot be written to a plan")


def _status(folder: Path) -> str:
    return f"perfkit status {shlex.quote(str(folder))}"
