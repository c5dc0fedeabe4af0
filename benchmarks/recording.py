"""Measures the configurations of a recorded sweep in turns with their base."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.sweep_design import process_key
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tuning.memory_room import MemoryRoom
from perfkit.tuning.search.evidence import ATTEMPTS, gives_up
from perfkit.tuning.search.settings import cache_name
from perfkit.tuning.studies.blocks import COMPILED_FOLDER
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.session import Session, Start
from perfkit.tuning.studies.study_records import StudyRecords
from perfkit.units import seconds_text

BLOCKS_PER_BASE = 30
"""Blocks that one process of the base is measured with. Two processes of one program can differ by
some percent for their whole life, which would move all ratios of a block against those of another.
A killed recording loses the passes of the present process of the base, and with them the ratios of
its blocks; an interrupted one loses nothing."""


@dataclass(frozen=True)
class RecordingPlan:
    """The sweep to record.

    Attributes
    ----------
    model, catalogue
        The model, and the knobs that may be set for it.
    workload
        The workload, with its depth.
    configurations
        Configurations to measure, stock first.
    store
        Store of the records. Configurations that it holds already are not measured again.
    rounds
        Number of timed passes of each configuration.
    block
        Number of candidates that are measured in turns with one process of the base.
    budget_s
        Wall seconds after which no further block begins.
    traced
        Whether to trace a pass of each configuration, for the seconds of each part.
    shared_processes
        Whether configurations share a process wherever their settings allow it.
    base
        Configuration that all others are measured in turns with. Its noise is part of each ratio,
        so that a steady one is worth more than stock. It is measured even where it is not among the
        configurations.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    configurations: tuple[Configuration, ...]
    store: Store
    rounds: int
    block: int
    budget_s: float
    traced: bool = False
    shared_processes: bool = False
    base: Configuration = STOCK

    @cached_property
    def study(self) -> str:
        """Digest of the recording: the same workload on the same machine resumes it."""
        return short_digest(["record", self.workload.digest, setting_digest()])


class Recording:
    """Measures the configurations of a plan in turns with their base, block by block.

    Parameters
    ----------
    plan
        What is measured.
    runner
        Makes the trials.
    progress
        Receives the events, and a sentence after each block.
    allowed_bytes
        Memory for all trials together.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        runner: Runner,
        progress: Progress,
        allowed_bytes: float = math.inf,
    ) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress
        self._kept = StudyRecords(plan.store, plan.study)
        self._room = MemoryRoom(
            plan.model,
            plan.catalogue,
            (plan.workload,),
            self._kept.all,
            allowed_bytes,
            runner.available_bytes,
        )
        self._reference_file = reference_file(plan.store.folder, plan.workload)

    def run(self) -> None:
        """Measure what is missing, within the budget.

        Raises
        ------
        UserError
            The reference or the base failed.
        """
        begin_s, done = self._runner.now_s(), 0
        self._make_reference()
        blocks = self._blocks(self._missing())
        left = sum(len(block) for block in blocks)
        while blocks:
            now, blocks = blocks[:BLOCKS_PER_BASE], blocks[BLOCKS_PER_BASE:]
            with self._session() as session:
                for block in now:
                    spent_s = self._runner.now_s() - begin_s
                    if spent_s >= self._plan.budget_s:
                        self._progress.say(
                            f"the budget is spent, and configurations are missing ({left}); run "
                            "the same command again to continue"
                        )
                        return
                    self._measure(session, block)
                    done, left = done + len(block), left - len(block)
                    spent_s = self._runner.now_s() - begin_s
                    missing = f"{left} are left, about {seconds_text(left * spent_s / done)}"
                    self._progress.say(
                        f"{done} configurations in {seconds_text(spent_s)}; "
                        f"{missing if left else 'none is left'}"
                    )
        self._finish_base()

    def records(self) -> list[Record]:
        """All records of the recording so far."""
        return self._kept.all()

    def _measure(self, session: Session, block: Sequence[Configuration]) -> None:
        """Measure the configurations of a block in turns with the base, and end their trials."""
        base = self._plan.base
        if (
            not session.is_open(base)
            and not session.open_all([self._candidate(base, Role.BASE)])[0]
        ):
            raise UserError(f"{base.label} failed, so that nothing can be compared with it")
        # One after the other: the seconds of a compilation that shares the CPUs are not comparable.
        alive = [one for one in block if session.open_all([self._candidate(one, Role.SWEEP)])[0]]
        session.rounds([base, *alive], self._plan.rounds)
        if self._plan.traced:
            for configuration in alive or [base]:
                session.trace(configuration)
        for configuration in alive:
            session.close(configuration)

    def _blocks(self, missing: Sequence[Configuration]) -> list[tuple[Configuration, ...]]:
        """Blocks of configurations that can share a process, and a program's lowering within it."""
        groups: dict[tuple[str, ...], list[Configuration]] = defaultdict(list)
        for one in sorted(missing, key=lambda one: sorted(one.overrides().items())):
            groups[process_key(one)].append(one)
        return [
            block
            for group in groups.values()
            for block in itertools.batched(group, self._plan.block)
        ]

    def _missing(self) -> list[Configuration]:
        """Candidates that have neither failed for good nor enough passes and a checked answer."""
        found = by_configuration(self.records())
        pairs = paired_passes(self.records(), self._plan.base)
        outcomes = {digest: [one.outcome for one in own] for digest, own in found.items()}
        return [
            one
            for one in self._plan.configurations
            if one != self._plan.base
            and not gives_up(outcomes.get(one.digest, []))
            and (
                len(pairs[one.digest]) < self._plan.rounds
                or Outcome.OK not in outcomes.get(one.digest, [])
            )
        ]

    def _finish_base(self) -> None:
        """Measure the base again where each of its trials was interrupted, or none was traced."""
        base = by_configuration(self.records())[self._plan.base.digest]
        complete = [record for record in base if record.outcome is Outcome.OK]
        if not complete or (self._plan.traced and not any(r.part_times_s for r in complete)):
            with self._session() as session:
                self._measure(session, ())

    def _make_reference(self) -> None:
        for _ in range(ATTEMPTS):
            if holds_answers(self._reference_file):
                return
            values = self._plan.model.reference_values
            reference = self._plan.catalogue.configuration(values)
            files = TrialFiles(save_compared=self._reference_file)
            with self._session() as session:
                session.open_all([self._start(reference, Role.REFERENCE, files)])
        if not holds_answers(self._reference_file):
            raise UserError(
                f"the reference failed {ATTEMPTS} times, so that no answer can be checked"
            )

    def _candidate(self, configuration: Configuration, role: Role) -> Start:
        folder = self._plan.store.folder / COMPILED_FOLDER / cache_name(configuration.settings)
        files = TrialFiles(reference=self._reference_file, compile_cache=folder)
        return self._start(configuration, role, files)

    def _start(self, configuration: Configuration, role: Role, files: TrialFiles) -> Start:
        plan = self._plan
        return Start(plan.workload, configuration, role, files, plan.shared_processes)

    def _session(self) -> Session:
        return Session(
            self._runner, self._progress, self._plan.study, self._kept.keep, self._room.holds
        )


def paired_passes(
    records: Iterable[Record], base: Configuration = STOCK
) -> Mapping[str, list[tuple[float, float]]]:
    """Seconds of each configuration and of the base in the same rounds, by digest.

    The base is paired with itself; a configuration without common rounds has no pairs.
    """
    known = [record for record in records if record.block is not None]
    base_s = {
        (record.block, stage.round): stage.wall_s
        for record in known
        for stage in record.steady
        if record.configuration.digest == base.digest
    }
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in known:
        for stage in record.steady:
            if (record.block, stage.round) in base_s:
                own = stage.wall_s, base_s[record.block, stage.round]
                pairs[record.configuration.digest].append(own)
    return pairs


def by_configuration(records: Iterable[Record]) -> Mapping[str, list[Record]]:
    """The records of the base and of the candidates, by digest of the configuration."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.role in (Role.BASE, Role.SWEEP):
            found[record.configuration.digest].append(record)
    return found
