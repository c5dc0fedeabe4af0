"""A worker: takes open units from a shared study until none is left."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Protocol

from perfkit.errors import UserError
from perfkit.records.schema import Record
from perfkit.shared_study.leases import (
    BEATS_PER_LEASE,
    Silence,
    Worker,
    beating,
    environment_job,
)
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import FAILED_PREFIX, Claim, SharedStudy

POLLS_PER_LEASE = 12
"""Looks at the folder within the time of a lease while other workers hold all open units."""

LONGEST_POLL_S = 5.0

FINISHED = "no unit is open"
REFUSED = "the units that are open cannot be run here"
CANCELLED = "the study was cancelled"
INTERRUPTED = "ended by a signal"


class Executor(Protocol):
    """Runs the units of one kind of study."""

    def prerequisite(self, unit: Unit) -> Unit | None:
        """A unit that has to be finished on this kind of node first; None if there is none.

        It need not be among the units of the plan. Where it was finished in vain, the unit runs
        without it.
        """
        ...

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Run a unit, and return all of its records, at least one."""
        ...


class Clock(Protocol):
    """The time of a worker."""

    def now_s(self) -> float:
        """Seconds of a monotonic clock."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class WallClock:
    """The monotonic clock of this machine."""

    def now_s(self) -> float:
        """Seconds of a monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def this_worker(environment: Mapping[str, str] = os.environ) -> Worker:
    """Describe this process.

    Parameters
    ----------
    environment
        Variables in which Slurm names node and job.
    """
    host, pid = socket.gethostname(), os.getpid()
    return Worker(
        name=f"{pid}-{secrets.token_hex(6)}",
        host=host,
        pid=pid,
        node=environment.get("SLURMD_NODENAME") or None,
        job=environment_job(environment),
    )


def end_on_time_limit() -> None:
    """Let SIGUSR2, which Slurm sends before a time limit, end the worker as SIGTERM does."""

    def end(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGUSR2, end)


def work(
    study: SharedStudy,
    executor: Executor,
    worker: Worker,
    say: Callable[[str], object],
    clock: Clock | None = None,
) -> str:
    """Take units until none is open, and wait for units that other workers may yet lose.

    A unit that cannot be run here, e.g. for want of memory, is left to other workers.

    Parameters
    ----------
    study
        The study.
    executor
        Runs the units.
    worker
        This process.
    say
        Receives one line per unit.
    clock
        The time; by default that of this machine.

    Returns
    -------
    str
        Why the worker ended.

    Raises
    ------
    OSError
        The folder cannot be written. The unit was given back.
    KeyboardInterrupt
        A signal ended the worker. The unit was given back.
    """
    clock = WallClock() if clock is None else clock
    silence = Silence(clock.now_s)
    study.enter(worker)
    reason, refused = INTERRUPTED, set[str]()
    try:
        while not study.cancelled:
            units = study.open_units()
            possible = [unit for unit in units if unit.key not in refused]
            if not possible:
                reason = REFUSED if units else FINISHED
                return reason
            claim = _claim(study, executor, worker, possible, silence)
            if claim is None:
                clock.sleep(min(study.plan.lease_s / POLLS_PER_LEASE, LONGEST_POLL_S))
                continue
            try:
                _run(study, executor, claim, worker, say)
            except UserError as error:
                refused.add(claim.unit.key)
                say(f"{claim.unit.label}: {error}")
        reason = CANCELLED
        return reason
    except OSError as error:
        reason = str(error)
        raise
    finally:
        with suppress(UserError):
            study.leave(worker, reason)


def _claim(
    study: SharedStudy,
    executor: Executor,
    worker: Worker,
    units: Sequence[Unit],
    silence: Silence,
) -> Claim | None:
    """Take the first unit that is free, or what has to be finished before it."""
    closed: set[str] | None = None
    tried: set[str] = set()
    for unit in units:
        wanted = unit
        needed = executor.prerequisite(unit)
        if needed is not None:
            if closed is None:
                closed = study.finished() | study.given_up().keys()
            wanted = unit if needed.key in closed else needed
        if wanted.key in tried:
            continue
        tried.add(wanted.key)
        claim = study.claim(wanted, worker, silence)
        if claim is not None:
            return claim
    return None


def _run(
    study: SharedStudy,
    executor: Executor,
    claim: Claim,
    worker: Worker,
    say: Callable[[str], object],
) -> None:
    say(f"{claim.unit.label}: begun")
    try:
        with beating(claim.lease, study.plan.lease_s / BEATS_PER_LEASE):
            records = executor.execute(claim.unit)
            kept = study.commit(claim, records)
    except BaseException as error:
        study.drop_journals(worker)
        interrupted = isinstance(error, KeyboardInterrupt)
        claim.lease.release(INTERRUPTED if interrupted else f"{FAILED_PREFIX}{error}")
        raise
    outcomes = ", ".join(record.outcome for record in records)
    say(f"{claim.unit.label}: {outcomes if kept else 'dropped, as another worker took it over'}")
