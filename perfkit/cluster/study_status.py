"""The state of a shared study: its units, its jobs, and why a unit failed or waits again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from perfkit.cluster.place import Job, JobState
from perfkit.cluster.places import make_place
from perfkit.records.schema import Outcome, Record
from perfkit.shared_study.leases import Lease
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import SharedStudy
from perfkit.shared_study.worker import FINISHED
from perfkit.units import seconds_text


class UnitState(StrEnum):
    """State of a unit."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class UnitStatus:
    """A unit and its state.

    Attributes
    ----------
    label
        Label of the unit.
    state
        State.
    where
        Node of the worker that runs it or has run it; empty if none has.
    why
        Why it failed, or why it is queued again; empty if there is nothing to say.
    """

    label: str
    state: UnitState
    where: str = ""
    why: str = ""


@dataclass(frozen=True)
class StudyStatus:
    """The state of a shared study.

    Attributes
    ----------
    kind
        Name of the call.
    units
        The units, in their order.
    jobs
        The jobs of all submissions, oldest first.
    cancelled
        Whether the study was cancelled.
    endings
        Why workers ended that did not work until no unit was open, one sentence each.
    """

    kind: str
    units: tuple[UnitStatus, ...]
    jobs: tuple[Job, ...]
    cancelled: bool
    endings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[UnitState, int]:
        """Number of units by state, those without units included."""
        counted = Counter(unit.state for unit in self.units)
        return {state: counted[state] for state in UnitState}

    @property
    def is_finished(self) -> bool:
        """Whether no unit is open."""
        return not self.counts[UnitState.QUEUED] and not self.counts[UnitState.RUNNING]

    @property
    def has_workers(self) -> bool:
        """Whether a job runs, waits, or cannot be asked for at this moment."""
        return any(not job.state.is_over or job.state is JobState.UNKNOWN for job in self.jobs)

    @property
    def sentence(self) -> str:
        """The counts in one sentence."""
        counted = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        end = " (cancelled)" if self.cancelled else ""
        return f"{self.kind} of {len(self.units)} units: {counted}{end}"


def jobs_of(study: SharedStudy) -> list[Job]:
    """Ask the places of a study for the states of its jobs."""
    found: list[Job] = []
    for place, jobs in study.jobs():
        found += make_place(place).jobs(jobs)
    return found


def study_status(study: SharedStudy, jobs: Sequence[Job]) -> StudyStatus:
    """Find the state of every unit.

    Parameters
    ----------
    study
        The study.
    jobs
        Its jobs, from :func:`jobs_of`.
    """
    numbers = study.leases.numbers()
    finished, given_up = study.finished(), study.given_up()
    by_id = {job.id: job for job in jobs}
    units = []
    for unit in study.plan.units:
        if unit.key in finished:
            units.append(_done(unit, study.records_of(unit)))
        elif unit.key in given_up:
            units.append(UnitStatus(unit.label, UnitState.FAILED, why=given_up[unit.key]))
        elif unit.key in numbers:
            newest = study.leases.read(unit.key, numbers[unit.key][-1])
            units.append(_open(study, unit, newest, by_id))
        else:
            units.append(UnitStatus(unit.label, UnitState.QUEUED))
    endings = [
        f"a worker on {worker.place} ended: {reason}"
        for worker, reason in study.workers()
        if reason not in (None, FINISHED)
    ]
    return StudyStatus(
        study.plan.kind, tuple(units), tuple(jobs), study.cancelled, tuple(dict.fromkeys(endings))
    )


def _done(unit: Unit, records: Iterable[Record]) -> UnitStatus:
    bad, where = [], ""
    for record in records:
        where = record.machine.node or record.machine.host or ""
        if record.outcome is not Outcome.OK:
            reason = f": {record.reason}" if record.reason else ""
            bad.append(f"{record.configuration.label} {record.outcome}{reason}")
    state = UnitState.FAILED if bad else UnitState.DONE
    return UnitStatus(unit.label, state, where, "; ".join(bad))


def _open(study: SharedStudy, unit: Unit, lease: Lease, jobs: dict[str, Job]) -> UnitStatus:
    worker = lease.worker
    where = "" if worker is None else worker.place
    if lease.released is not None:
        return UnitStatus(
            unit.label, UnitState.QUEUED, why=f"given back by {where}: {lease.released}"
        )
    job = None if worker is None or worker.job is None else jobs.get(worker.job)
    if job is not None and job.state.is_over and job.state is not JobState.UNKNOWN:
        detail = f" ({job.detail})" if job.detail else ""
        lost = f"its worker on {where} was {_participle(job.state)}{detail}"
        return UnitStatus(unit.label, UnitState.QUEUED, why=lost)
    age_s = study.leases.age_s(unit.key, lease.number)
    if age_s is not None and age_s > study.plan.lease_s:
        silent = f"no sign of life from {where} for {seconds_text(age_s)}"
        return UnitStatus(unit.label, UnitState.QUEUED, why=silent)
    return UnitStatus(unit.label, UnitState.RUNNING, where)


def _participle(state: JobState) -> str:
    return "lost" if state in (JobState.ENDED, JobState.FAILED) else state.value
