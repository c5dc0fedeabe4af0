"""A worker: takes open units from a shared study until none is left."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
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
from perfkit.shared_study.spent import Shift
from perfkit.shared_study.study import FAILED_PREFIX, Claim, Listing, SharedStudy

POLLS_PER_LEASE = 12
"""Looks at the folder within the time of a lease while other workers hold all open units."""

LONGEST_POLL_S = 5.0

FINISHED = "no unit is open"
REFUSED = "the units that are open cannot be run here"
CANCELLED = "the study was cancelled"
INTERRUPTED = "ended by a signal"


type IsHeld = Callable[[Unit], bool]
"""Whether a worker holds a unit and shows signs of life."""


class Executor(Protocol):
    """Runs the units of one kind of study."""

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        """Units that are worth taking now, best first; empty once the study is finished.

        A unit that another worker holds is waited for.

        Parameters
        ----------
        listing
            What the folders of the study say.
        is_held
            Whether a worker holds a unit.
        """
        ...

    def prerequisite(self, unit: Unit) -> Unit | None:
        """A unit that has to be finished on this kind of node first; None if there is none.

        It need not be among the units of the plan. Where it was finished in vain, the unit runs
        without it.
        """
        ...

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Run a unit, and return all of its records."""
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


def this_worker(environment: Mapping[str, str] = os.environ, busy: str = "") -> Worker:
    """Describe this process.

    Parameters
    ----------
    environment
        Variables in which Slurm names node and job.
    busy
        What else runs on its CPUs.
    """
    host, pid = socket.gethostname(), os.getpid()
    return Worker(
        name=f"{pid}-{secrets.token_hex(6)}",
        host=host,
        pid=pid,
        node=environment.get("SLURMD_NODENAME") or None,
        job=environment_job(environment),
        begin_s=time.time(),
        busy=busy,
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
    study.notes.enter(worker)
    note = _shift_note(study, worker, clock)
    reason, refused = INTERRUPTED, set[str]()
    try:
        while not study.cancelled:
            note()
            listing = study.listing()
            is_held = partial(study.is_held, silence=silence, listing=listing)
            units = executor.open_units(listing, is_held)
            possible = [unit for unit in units if unit.key not in refused]
            if not possible:
                reason = REFUSED if units else FINISHED
                return reason
            claim = _claim(study, executor, worker, possible, silence, listing)
            if claim is None:
                clock.sleep(min(study.plan.lease_s / POLLS_PER_LEASE, LONGEST_POLL_S))
                continue
            try:
                _run(study, executor, claim, worker, say, note)
            except UserError as error:
                refused.add(claim.unit.key)
                say(f"{claim.unit.label}: {error}")
        reason = CANCELLED
        return reason
    except (OSError, UserError) as error:
        reason = str(error)
        raise
    finally:
        note()
        with suppress(UserError):
            study.notes.leave(worker, reason)


def _shift_note(study: SharedStudy, worker: Worker, clock: Clock) -> Callable[[], None]:
    """What notes how long a worker has been at work; a note that fails is made the next time."""
    begin_s, begun_s = time.time(), clock.now_s()

    def note() -> None:
        with suppress(OSError, UserError):
            study.notes.note_shift(worker, Shift(begin_s, clock.now_s() - begun_s))

    return note


def _claim(
    study: SharedStudy,
    executor: Executor,
    worker: Worker,
    units: Sequence[Unit],
    silence: Silence,
    listing: Listing,
) -> Claim | None:
    """Take the first unit that is free, or what has to be finished before it."""
    tried: set[str] = set()
    for unit in units:
        needed = executor.prerequisite(unit)
        wanted = unit if needed is None or needed.key in listing.closed else needed
        if wanted.key in tried:
            continue
        tried.add(wanted.key)
        claim = study.claim(wanted, worker, silence, listing)
        if claim is not None:
            return claim
    return None


def _run(
    study: SharedStudy,
    executor: Executor,
    claim: Claim,
    worker: Worker,
    say: Callable[[str], object],
    note: Callable[[], None],
) -> None:
    say(f"{claim.unit.label}: begun")
    try:
        with beating(claim.lease, study.plan.lease_s / BEATS_PER_LEASE, note):
            records = executor.execute(claim.unit)
            kept = study.commit(claim, records)
    except BaseException as error:
        study.drop_journals(worker)
        interrupted = isinstance(error, KeyboardInterrupt)
        claim.lease.release(INTERRUPTED if interrupted else f"{FAILED_PREFIX}{error}")
        raise
    outcomes = ", ".join(record.outcome for record in records) or "done"
    say(f"{claim.unit.label}: {outcomes if kept else 'dropped, as another worker took it over'}")
