"""Sweeps: every combination of workloads and configurations is measured; sweeps resume."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from perfkit.files import JsonData, short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.jaxlib import JAXLIB
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.interpreter import Interpreter
from perfkit.records.machine import available_memory_bytes, setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tuning.memory_room import MemoryRoom
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.session import Session, Start
from perfkit.tuning.studies.study_records import StudyRecords


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
    interpreters
        The Python by version of jaxlib, for configurations that set one.
    reference_jaxlib
        Version of jaxlib that computes the reference, None for that of this Python.
    name
        Digest of the study that the records belong to; by default that of this grid on this
        machine. Workers on several machines share one.
    """

    model: Model
    catalogue: Catalogue
    workloads: tuple[Workload, ...]
    configurations: tuple[Configuration, ...]
    store: Store
    rounds: int = 3
    interpreters: Mapping[str, Interpreter] = field(default_factory=dict)
    reference_jaxlib: str | None = None
    name: str | None = None

    @property
    def reference(self) -> Configuration:
        """The configuration that all answers are compared with."""
        values = dict(self.model.reference_values)
        if self.reference_jaxlib is not None:
            values[JAXLIB] = self.reference_jaxlib
        return self.catalogue.configuration(values)

    @cached_property
    def study(self) -> str:
        """Digest of the sweep: the same command resumes it."""
        if self.name is not None:
            return self.name
        same: list[JsonData] = [
            "sweep",
            setting_digest(),
            [workload.digest for workload in self.workloads],
            [configuration.digest for configuration in self.configurations],
        ]
        if self.interpreters:
            builds = {name: one.builds for name, one in self.interpreters.items()}
            same += [builds, self.reference_jaxlib]
        return short_digest(same)

    @property
    def trials(self) -> int:
        """Number of trials of a whole sweep, without the references."""
        return len(self.workloads) * len(self.configurations)

    def blocks(self) -> list[tuple[Workload, tuple[Configuration, ...]]]:
        """The grid in parts that can be measured apart from each other.

        Each one holds the first configuration, as the control of the others, which differ in the
        version of jaxlib only. The first blocks of all workloads come first.
        """
        first, *others = self.configurations
        members = [(first, *group) for group in _groups(others)] or [(first,)]
        return [(workload, each) for each in members for workload in self.workloads]


class Sweep:
    """Runs a plan, workload by workload.

    The first configuration of a workload stays alive while each other one is measured in turns
    with it, so that cells can be compared although the machine drifts. Configurations that differ
    in the version of jaxlib only are measured in the same turns. Where memory does not hold these
    trials side by side, they run one after the other.

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
        self._kept = StudyRecords(plan.store, plan.study)
        self._room = MemoryRoom(
            plan.model, plan.catalogue, plan.workloads, self._kept.all, math.inf, available_bytes
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
                self.measure_reference(workload)
                self.measure(workload, missing)

    def records(self) -> list[Record]:
        """All records of the sweep so far."""
        return [r for r in self._plan.store.records() if r.study == self._plan.study]

    def measure(self, workload: Workload, missing: Sequence[Configuration]) -> None:
        """Measure configurations of a workload in turns with the first one of the plan."""
        first, *others = self._plan.configurations
        files = self._files(workload)
        groups = _groups([other for other in others if other in missing])
        together = [
            [Start(workload, one, Role.SWEEP) for one in (first, *group)] for group in groups
        ]
        if not all(map(self._room.holds, together)):
            for configuration in missing:
                with self._session() as session:
                    if session.open(workload, configuration, Role.SWEEP, files):
                        session.rounds([configuration], self._plan.rounds)
            return
        with self._session() as session:
            alive = session.open(workload, first, Role.BASE, files)
            paired = False
            for group in groups:
                opened = [one for one in group if session.open(workload, one, Role.SWEEP, files)]
                if opened:
                    session.rounds([first, *opened] if alive else opened, self._plan.rounds)
                    paired = True
                for configuration in opened:
                    session.close(configuration)
            if alive and not paired:
                session.rounds([first], self._plan.rounds)

    def measure_reference(self, workload: Workload) -> None:
        """Compute the answer that others are compared with, unless the store holds it."""
        if holds_answers(self.reference_file(workload)):
            return
        files = TrialFiles(save_compared=self.reference_file(workload))
        with self._session() as session:
            session.open(workload, self._plan.reference, Role.REFERENCE, files)

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
        path = self.reference_file(workload)
        return TrialFiles(reference=path if path.exists() else None)

    def reference_file(self, workload: Workload) -> Path:
        """File of the answer of the reference on this kind of machine."""
        version = self._plan.reference.jaxlib
        interpreter = None if version is None else self._plan.interpreters[version]
        return reference_file(self._plan.store.folder, workload, interpreter)

    def _session(self) -> Session:
        return Session(
            self._runner, self._progress, self._plan.study, self._kept.keep, self._room.holds
        )


def _groups(configurations: Sequence[Configuration]) -> list[list[Configuration]]:
    """The configurations by their settings without the version of jaxlib, in their order."""
    groups: dict[tuple[tuple[str, str], ...], list[Configuration]] = defaultdict(list)
    for configuration in configurations:
        rest = tuple(setting for setting in configuration.settings if setting[0] != JAXLIB)
        groups[rest].append(configuration)
    return list(groups.values())
