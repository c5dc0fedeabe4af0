"""Measures one configuration under both sides, in blocks of new processes and in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from perfkit.files import short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import available_memory_bytes, setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialFiles
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.session import Session
from perfkit.upgrade.sides import OBSERVATION, Side, SideRunner


@dataclass(frozen=True)
class UpgradePlan:
    """What is measured.

    Attributes
    ----------
    model, workload, configuration
        The prediction. Both sides run the same one.
    old, new
        The two sides.
    store
        Store of the records. Blocks that it holds already are not measured again.
    limits
        Limits of each trial.
    pairs
        Number of blocks; each has a new process of either side.
    passes
        Timed passes of each process.
    """

    model: Model
    workload: Workload
    configuration: Configuration
    old: Side
    new: Side
    store: Store
    limits: Limits
    pairs: int
    passes: int

    @cached_property
    def study(self) -> str:
        """Digest of the comparison: the same command resumes it."""
        same = [
            "upgrade",
            setting_digest(),
            sorted(self.old.versions.items()),
            sorted(self.new.versions.items()),
            self.workload.digest,
            self.configuration.digest,
        ]
        return short_digest(same)

    def block(self, number: int) -> str:
        """Name of a block, counted from 0."""
        return f"{self.study}-{number}"

    def answers_file(self, side: Side, number: int) -> Path:
        """File for the compared quantities of a side in a block."""
        return self.store.folder / f"{self.block(number)}-{side.name}.answers"

    def side_of(self, record: Record) -> Side | None:
        """The side that a record of the comparison belongs to."""
        found = record.observations.get(OBSERVATION)
        names = {side.name: side for side in (self.old, self.new)}
        return None if found is None else names.get(str(found.data.get("side")))

    def records(self) -> list[Record]:
        """All records of the comparison so far."""
        return [record for record in self.store.records() if record.study == self.study]


@dataclass(frozen=True)
class Pair:
    """The trials of one block.

    Attributes
    ----------
    old, new
        Record of each side.
    """

    old: Record
    new: Record

    @property
    def complete(self) -> bool:
        """Whether both trials have timed passes and ended well."""
        return all(each.outcome is Outcome.OK and each.steady for each in (self.old, self.new))


def pairs_of(plan: UpgradePlan) -> dict[int, Pair]:
    """The blocks in the store that have a record of both sides, by number; the last record counts.

    A trial that the user interrupted does not count.
    """
    found: dict[tuple[str, str], Record] = {}
    for record in plan.records():
        side = plan.side_of(record)
        if side is not None and record.block and record.outcome is not Outcome.INTERRUPTED:
            found[record.block, side.name] = record
    numbers = range(plan.pairs)
    keys = {
        number: [(plan.block(number), side.name) for side in (plan.old, plan.new)]
        for number in numbers
    }
    return {
        number: Pair(*(found[key] for key in both))
        for number, both in keys.items()
        if all(key in found for key in both)
    }


def measure(
    plan: UpgradePlan,
    progress: Progress,
    available_bytes: Callable[[], int] = available_memory_bytes,
) -> None:
    """Measure the blocks that the store does not hold.

    Measuring ends with the first block in which a trial fails: its failure is the result.

    Parameters
    ----------
    plan
        What is measured.
    progress
        Receives the events.
    available_bytes
        Returns the memory that is available for trials.
    """
    needed = plan.model.memory_estimate_bytes(plan.workload, plan.configuration)
    side_by_side = needed is not None and 2 * needed < available_bytes()
    for number in range(plan.pairs):
        if number not in pairs_of(plan):
            progress.say(f"block {number + 1} of {plan.pairs}: {_labels(plan)}")
            _Block(plan, number, progress).run(side_by_side=side_by_side)
        pair = pairs_of(plan).get(number)
        if pair is None or not pair.complete:
            return


class _Block:
    """One block: a process of each side, measured in turns.

    Parameters
    ----------
    plan
        What is measured.
    number
        Number of the block. The sides change the order in which they start with it.
    progress
        Receives the events.
    """

    def __init__(self, plan: UpgradePlan, number: int, progress: Progress) -> None:
        self._plan = plan
        self._number = number
        self._progress = progress
        self._order = (plan.old, plan.new) if number % 2 == 0 else (plan.new, plan.old)

    def run(self, *, side_by_side: bool) -> None:
        """Measure; ``side_by_side`` if memory holds a process of each side at once."""
        if not side_by_side:
            for side in self._order:
                with self._session(side) as session:
                    self._open(session, side)
                    self._pass([session])
            return
        with ExitStack() as stack:
            sessions = [stack.enter_context(self._session(side)) for side in self._order]
            for session, side in zip(sessions, self._order, strict=True):
                self._open(session, side)
            self._pass(sessions)

    def _session(self, side: Side) -> Session:
        plan = self._plan
        runner = SideRunner(side, plan.store.folder, plan.limits, self._progress.stage)
        return Session(
            runner,
            _SideProgress(self._progress, side),
            plan.study,
            partial(self._keep, side),
            block=plan.block(self._number),
        )

    def _open(self, session: Session, side: Side) -> None:
        plan = self._plan
        files = TrialFiles(save_compared=plan.answers_file(side, self._number))
        session.open(plan.workload, plan.configuration, Role.SINGLE, files)

    def _pass(self, sessions: Sequence[Session]) -> None:
        for number in range(self._plan.passes):
            for session in sessions if number % 2 == 0 else reversed(sessions):
                session.rounds([self._plan.configuration], 1)
        for session in sessions:
            session.trace(self._plan.configuration)

    def _keep(self, side: Side, record: Record) -> None:
        self._plan.store.append(side.finished(record))


class _SideProgress:
    """Progress in which each trial carries the name of its side.

    Parameters
    ----------
    progress
        Receives the events.
    side
        The side.
    """

    def __init__(self, progress: Progress, side: Side) -> None:
        self._progress = progress
        self._side = side
        self.stage = progress.stage
        self.say = progress.say

    def trial_started(self, role: Role, label: str) -> None:
        """Pass on a start."""
        self._progress.trial_started(role, self._named(label))

    def trial_finished(self, record: Record) -> None:
        """Pass on an end."""
        label = self._named(record.configuration.label)
        configuration = record.configuration.model_copy(update={"label": label})
        self._progress.trial_finished(record.model_copy(update={"configuration": configuration}))

    def _named(self, label: str) -> str:
        return f"{self._side.label}, {label}"


def _labels(plan: UpgradePlan) -> str:
    return f"{plan.old.label} and {plan.new.label}, in turns"
