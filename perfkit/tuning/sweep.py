"""Sweeps: every combination of workloads and configurations is measured; sweeps resume."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import available_memory_bytes, setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tuning.memory_room import MemoryRoom
from perfkit.tuning.progress import Progress
from perfkit.tuning.runner import Runner
from perfkit.tuning.session import Session, Start


@dataclass(frozen=True)
class SweepPlan:
    """The grid of a sweep.

    Attributes
    ----------
    model, catalogue
        The model, and the knobs that may be set for it.
    workloads
        One workload for each size.
    configurations
        Configurations that are measured on every workload. The others are paired with the first.
    store
        Store of the records. Cells that it holds already are not measured again.
    rounds
        Number of timed passes of each cell.
    """

    model: Model
    catalogue: Catalogue
    workloads: tuple[Workload, ...]
    configurations: tuple[Configuration, ...]
    store: Store
    rounds: int = 3

    @cached_property
    def study(self) -> str:
        """Digest of the sweep: the same command resumes it."""
        same = [
            "sweep",
            setting_digest(),
            [workload.digest for workload in self.workloads],
            [configuration.digest for configuration in self.configurations],
        ]
        return short_digest(same)

    @property
    def trials(self) -> int:
        """Number of trials of a whole sweep, without the references."""
        return len(self.workloads) * len(self.configurations)


class Sweep:
    """Runs a plan, workload by workload.

    The first configuration of a workload stays alive while each other one is measured in turns
    with it, so that cells can be compared although the machine drifts. Where memory does not hold
    two trials side by side, they run one after the other.

    Parameters
    ----------
    plan
        The grid and the store.
    runner
        Makes the trials.
    progress
        Receives the events.
    available_bytes
        Returns the memory that is available for trials.
    """

    def __init__(
        self,
        plan: SweepPlan,
        runner: Runner,
        progress: Progress,
        available_bytes: Callable[[], int] = available_memory_bytes,
    ) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress
        self._room = MemoryRoom(
            plan.model, plan.catalogue, plan.workloads, self.records, math.inf, available_bytes
        )

    def run(self) -> None:
        """Measure every missing cell."""
        for workload in self._plan.workloads:
            missing = [
                configuration
                for configuration in self._plan.configurations
                if not self._has(workload, configuration)
            ]
            if missing:
                self._reference(workload)
                self._measure(workload, missing)

    def records(self) -> list[Record]:
        """All records of the sweep so far."""
        return [r for r in self._plan.store.records() if r.study == self._plan.study]

    def _measure(self, workload: Workload, missing: Sequence[Configuration]) -> None:
        first, *others = self._plan.configurations
        files = self._files(workload)
        starts = [Start(workload, each, Role.SWEEP) for each in self._plan.configurations]
        if not all(self._room.holds([starts[0], other]) for other in starts[1:]):
            for configuration in missing:
                with self._session() as session:
                    if session.open(workload, configuration, Role.SWEEP, files):
                        session.rounds([configuration], self._plan.rounds)
            return
        with self._session() as session:
            alive = session.open(workload, first, Role.BASE, files)
            paired = False
            for other in others:
                if other in missing and session.open(workload, other, Role.SWEEP, files):
                    session.rounds([first, other] if alive else [other], self._plan.rounds)
                    session.close(other)
                    paired = True
            if alive and not paired:
                session.rounds([first], self._plan.rounds)

    def _reference(self, workload: Workload) -> None:
        if holds_answers(self._reference_file(workload)):
            return
        reference = self._plan.catalogue.configuration(self._plan.model.reference_values)
        files = TrialFiles(save_compared=self._reference_file(workload))
        with self._session() as session:
            session.open(workload, reference, Role.REFERENCE, files)

    def _has(self, workload: Workload, configuration: Configuration) -> bool:
        """Whether a cell failed for good or has all of its passes; Ctrl-C may cut a trial short."""
        return any(
            record.workload.digest == workload.digest
            and record.configuration.digest == configuration.digest
            and record.role != Role.REFERENCE
            and record.outcome is not Outcome.INTERRUPTED
            and (record.outcome is not Outcome.OK or len(record.steady) >= self._plan.rounds)
            for record in self.records()
        )

    def _files(self, workload: Workload) -> TrialFiles:
        path = self._reference_file(workload)
        return TrialFiles(reference=path if path.exists() else None)

    def _reference_file(self, workload: Workload) -> Path:
        return reference_file(self._plan.store.folder, workload)

    def _session(self) -> Session:
        plan = self._plan
        return Session(
            self._runner, self._progress, plan.study, plan.store.append, self._room.holds
        )
