"""The state of a shared study: its units, its jobs, and why a unit failed or waits again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from perfkit.cluster.place import Job, JobState
from perfkit.cluster.places import make_place
from perfkit.records.schema import Outcome, Record
from perfkit.shared_study.leases import Lease, Worker
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import SharedStudy
from perfkit.shared_study.worker import FINISHED
from perfkit.units import seconds_text

UNEXPLAINED = (JobState.ENDED, JobState.FAILED)
"""States of jobs that do not say why a worker was lost during a unit."""


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
    spent_s
        Wall seconds during which at least one worker was at work.
    busy
        What workers found on their nodes before they began, one sentence per busy node.
    """

    kind: str
    units: tuple[UnitStatus, ...]
    jobs: tuple[Job, ...]
    cancelled: bool
    endings: tuple[str, ...] = ()
    spent_s: float = 0.0
    busy: tuple[str, ...] = ()

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

    @property
    def time_sentence(self) -> str:
        """How long workers were at work, in one sentence; empty before the first one."""
        if not self.spent_s:
            return ""
        return f"at least one worker was at work for {seconds_text(self.spent_s)}"


def jobs_of(study: SharedStudy) -> list[Job]:
    """Ask the places of a study for the states of its jobs."""
    found: list[Job] = []
    for place, jobs in study.notes.jobs():
        found += make_place(place).jobs(jobs, study.logs)
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
    listing, given_up = study.listing(), study.given_up()
    found = study.found_units()
    if not study.open_units(listing):
        # What was lost after it had become superfluous was not repeated.
        found = [unit for unit in found if unit.key in listing.closed]
    workers = study.notes.workers()
    holders = _Holders({job.id: job for job in jobs}, _last_workers(workers))
    units = []
    for unit in (*found, *study.plan.units):
        if unit.key in listing.finished:
            units.append(_done(unit, study.records_of(unit)))
        elif unit.key in listing.given_up:
            why = given_up.get(unit.key, "")
            units.append(UnitStatus(unit.label, UnitState.FAILED, why=why))
        elif unit.key in listing.numbers:
            newest = study.leases.read(unit.key, listing.numbers[unit.key][-1])
            units.append(_open(study, unit, newest, holders))
        else:
            units.append(UnitStatus(unit.label, UnitState.QUEUED))
    endings = [
        f"a worker on {worker.place} ended: {reason}"
        for worker, reason in workers
        if reason not in (None, FINISHED)
    ]
    busy = [f"on {worker.place}, {worker.busy}" for worker, _ in workers if worker.busy]
    return StudyStatus(
        study.plan.kind,
        tuple(units),
        tuple(jobs),
        study.cancelled,
        tuple(dict.fromkeys(endings)),
        study.notes.spent_s(),
        tuple(dict.fromkeys(busy)),
    )


@dataclass(frozen=True)
class _Holders:
    """What is known of the workers that hold units.

    Attributes
    ----------
    jobs
        Jobs by identity.
    last
        Name of the last worker of each job: a job that was requeued has several.
    """

    jobs: Mapping[str, Job]
    last: Mapping[str, str]

    def end(self, worker: Worker | None) -> str | None:
        """How a worker ended by what its place says; None if it may run."""
        if worker is None or worker.job is None or worker.job not in self.jobs:
            return None
        job = self.jobs[worker.job]
        if job.state is JobState.QUEUED or self.last.get(job.id, worker.name) != worker.name:
            state = "requeued"
        elif not job.state.is_over or job.state is JobState.UNKNOWN:
            return None
        else:
            state = "lost" if job.state in UNEXPLAINED else job.state.value
        return f"{state} ({job.detail})" if job.detail else state


def _last_workers(workers: Sequence[tuple[Worker, str | None]]) -> dict[str, str]:
    """The name of the last worker of each job."""
    begun = sorted(workers, key=lambda pair: pair[0].begin_s)
    return {worker.job: worker.name for worker, _ in begun if worker.job is not None}


def _done(unit: Unit, records: Iterable[Record]) -> UnitStatus:
    bad, where = [], ""
    for record in records:
        where = record.machine.node or record.machine.host or ""
        if record.outcome is not Outcome.OK:
            reason = f": {record.reason}" if record.reason else ""
            bad.append(f"{record.configuration.label} {record.outcome}{reason}")
    # A candidate of a search may crash or answer wrongly: that is what the search finds out.
    state = UnitState.FAILED if bad and unit.detail is None else UnitState.DONE
    return UnitStatus(unit.label, state, where, "; ".join(bad))


def _open(study: SharedStudy, unit: Unit, lease: Lease, holders: _Holders) -> UnitStatus:
    worker = lease.worker
    where = "" if worker is None else worker.place
    end = holders.end(worker)
    if lease.released is not None:
        why = f"given back by {where}: {lease.released}"
        if end is not None and not end.startswith("lost"):
            why += f"; its job was {end}"
        return UnitStatus(unit.label, UnitState.QUEUED, why=why)
    if end is not None:
        return UnitStatus(unit.label, UnitState.QUEUED, why=f"its worker on {where} was {end}")
    age_s = study.leases.age_s(unit.key, lease.number)
    if age_s is not None and age_s > study.plan.lease_s:
        silent = f"no sign of life from {where} for {seconds_text(age_s)}"
        return UnitStatus(unit.label, UnitState.QUEUED, why=silent)
    return UnitStatus(unit.label, UnitState.RUNNING, where)
