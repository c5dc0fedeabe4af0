"""The trials of a study: how they are started, and which of them fit into memory together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from perfkit.files import short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tuning.memory_room import MemoryRoom
from perfkit.tuning.search.settings import cache_name, process_settings
from perfkit.tuning.search.strategy import Screen
from perfkit.tuning.studies.blocks import COMPILED_FOLDER
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.session import Living, Session, Start
from perfkit.tuning.studies.study_plan import StudyPlan
from perfkit.tuning.studies.study_records import StudyRecords


class SharingRunner(Runner, Protocol):
    """A runner that can put several trials into one process."""

    def end_shared(self) -> None:
        """End the processes that trials share; the next such trial starts a new one."""
        ...


class StudyTrials:
    """Starts the trials of a study.

    Parameters
    ----------
    plan
        The workload, the store, and the memory for all trials together.
    runner
        Makes the trials.
    progress
        Receives the events.
    kept
        The records of the study.
    """

    def __init__(
        self,
        plan: StudyPlan,
        runner: SharingRunner,
        progress: Progress,
        kept: StudyRecords,
    ) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress
        self._kept = kept
        self._room = MemoryRoom(
            plan.model,
            plan.catalogue,
            (plan.workload, plan.screened),
            kept.all,
            plan.memory_bytes,
            runner.available_bytes,
        )

    @property
    def compiled_folder(self) -> Path:
        """Folder in which the trials of the study share their compiled programs."""
        return self._plan.store.folder / COMPILED_FOLDER / self._plan.study

    def session(self) -> Session:
        """A new session, whose records are kept in the store."""
        return Session(self._runner, self._progress, self._plan.study, self._kept.keep, self.fit)

    def fit(self, starts: Sequence[Start], living: Sequence[Living] = ()) -> bool:
        """Whether memory holds trials side by side; see :meth:`MemoryRoom.holds`."""
        return self._room.holds(starts, living)

    def reference(self, workload: Workload) -> Start:
        """The start of the reference configuration, which saves its answer."""
        plan = self._plan
        reference = plan.catalogue.configuration(plan.model.reference_values)
        shared = workload.digest == plan.screened.digest and plan.shared_processes
        start = self._start(workload, reference, Role.REFERENCE, shared=shared)
        answers = reference_file(plan.store.folder, workload)
        files = replace(start.files, reference=None, save_compared=answers)
        return replace(start, files=files)

    def screening(self, configuration: Configuration, role: Role) -> Start:
        """The start of a trial that candidates are screened with."""
        plan = self._plan
        return self._start(plan.screened, configuration, role, shared=plan.shared_processes)

    def confirmation(self, configuration: Configuration) -> Start:
        """The start of a trial of a confirmation block."""
        return self._start(self._plan.workload, configuration, Role.CONFIRM, shared=False)

    def side_by_side(self, screen: Screen, living: Sequence[Living]) -> tuple[Configuration, ...]:
        """The first candidates that memory holds side by side with their base, at least one.

        The strategy proposes the other ones again.

        Parameters
        ----------
        screen
            The candidates and their base.
        living
            Trials that are alive; those that are no candidate end before.
        """
        candidates = screen.candidates
        while len(candidates) > 1 and not self.fit(
            [self.screening(member, Role.SCREEN) for member in (screen.base, *candidates)], living
        ):
            candidates = candidates[:-1]
        return candidates

    def renew(self, screen: Screen) -> None:
        """End the shared processes if a candidate runs in another process than its base.

        Two processes of one program can differ for their whole life, so that a fresh pair needs new
        processes. Programs of one process need none.
        """
        if len({_process_of(member) for member in (screen.base, *screen.candidates)}) > 1:
            self._runner.end_shared()

    def _start(
        self, workload: Workload, configuration: Configuration, role: Role, *, shared: bool
    ) -> Start:
        name = cache_name(configuration.settings) if shared else configuration.digest
        files = TrialFiles(
            reference=reference_file(self._plan.store.folder, workload),
            compile_cache=self.compiled_folder / name,
        )
        return Start(workload, configuration, role, files, shared)


def _process_of(configuration: Configuration) -> str:
    """Digest that is equal for configurations whose programs can share a process."""
    return short_digest(process_settings(configuration.settings))
