"""Sweeps that workers share: a unit is a configuration of a workload, with its control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from perfkit.api.progress import CallProgress, SilentProgress
from perfkit.api.shared.elsewhere import Call, Elsewhere, as_json, share, unfinished_sentence
from perfkit.api.studies.study_results import SweepResult
from perfkit.api.studies.sweep_arguments import SweepArguments, check_sweep
from perfkit.api.studies.sweep_page import finish_sweep
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.schema import Record
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import Listing, SharedStudy
from perfkit.shared_study.unit_store import UnitStore
from perfkit.shared_study.worker import IsHeld
from perfkit.trial.answers import holds_answers
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.nodes import node_sentences
from perfkit.tuning.studies.progress import SilentProgress as SilentTrials
from perfkit.tuning.studies.sweep import Sweep, SweepPlan

KIND = "sweep"


def sweep_elsewhere(
    arguments: SweepArguments, folder: Path, where: Elsewhere, progress: CallProgress
) -> SweepResult:
    """Let workers measure a sweep.

    Parameters
    ----------
    arguments
        The arguments of the sweep.
    folder
        Folder for records and page, which all nodes see.
    where
        The place.
    progress
        Follows the study.

    Returns
    -------
    SweepResult
        What was measured when the study ended, or when it was no longer followed.

    Raises
    ------
    UserError
        An argument is impossible, or the workers cannot be started.
    """
    if arguments.jaxlib is not None:
        raise UserError(
            "--jaxlib compares versions on this machine only: leave out --on, or --jaxlib"
        )
    where.check()
    checked = check_sweep(arguments, progress, here=False)
    units = [_unit(*block) for block in checked.plan(UnitStore(folder)).blocks()]
    call = Call(KIND, {name: as_json(each) for name, each in asdict(arguments).items()}, units)
    with progress.study(trials=len(units)) as study:
        status = share(folder, call, where, study.say)
    if status is None:
        return SweepResult((), (), folder, None)
    shared = SharedStudy(folder)
    plan = checked.plan(UnitStore(folder), shared.plan.study)
    records = shared.records()
    with progress.study(trials=len(units)) as study:
        for sentence in node_sentences(records):
            study.say(sentence)
    result = finish_sweep(plan, records, folder)
    return replace(result, unfinished=unfinished_sentence(status, folder) if where.follow else "")


class SweepExecutor:
    """Measures units of a sweep on this node.

    Parameters
    ----------
    study
        The shared study.

    Raises
    ------
    UserError
        An argument of the study is impossible here.
    """

    def __init__(self, study: SharedStudy) -> None:
        arguments = SweepArguments(**study.plan.arguments)  # type: ignore[arg-type]
        progress = SilentProgress()
        self._checked = check_sweep(arguments, progress, here=False)
        # Records hold what was found of the jaxlib of their node.
        jaxlib_warnings(progress)
        self._observe = arguments.observe
        self._study = study
        plan = self._checked.plan(UnitStore(study.folder))
        self._blocks = {_unit(*block).key: block for block in plan.blocks()}
        # The name of the file takes a look at the machine and at all packages.
        self._answers = {
            workload.digest: self._sweep(workload).reference_file(workload)
            for workload in self._checked.workloads
        }
        self._references = {
            self._reference(workload).key: workload for workload in self._checked.workloads
        }

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        """The open units of the plan."""
        return self._study.open_units(listing)

    def prerequisite(self, unit: Unit) -> Unit | None:
        """The answer that a kind of node computes once, and compares its answers with."""
        workload, _ = self._block(unit)
        if holds_answers(self._answers[workload.digest]):
            return None
        return self._reference(workload)

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Measure a configuration in turns with its control, or the reference."""
        if unit.key in self._references:
            workload = self._references[unit.key]
            plan, sweep = self._make(workload)
            sweep.measure_reference(workload)
        else:
            workload, members = self._block(unit)
            for configuration in members:
                configuration.ensure_possible()
                self._checked.subject.refuse_without_memory(configuration, workload)
            plan, sweep = self._make(workload, members)
            sweep.measure(workload, members)
        return plan.store.records()

    def _block(self, unit: Unit) -> tuple[Workload, tuple[Configuration, ...]]:
        if unit.key not in self._blocks:
            raise UserError(
                f"{unit.label} is not what this node makes of the study's arguments: the input or "
                "perfkit differs from those where the study was started"
            )
        return self._blocks[unit.key]

    def _sweep(self, workload: Workload) -> Sweep:
        return self._make(workload)[1]

    def _make(
        self, workload: Workload, members: tuple[Configuration, ...] | None = None
    ) -> tuple[SweepPlan, Sweep]:
        """A sweep of one block, whose records stay in memory."""
        folder = self._study.folder
        plan = self._checked.plan(UnitStore(folder), self._study.plan.study)
        plan = replace(plan, workloads=(workload,), configurations=members or plan.configurations)
        trials = SilentTrials()
        runner = LiveRunner(folder, self._checked.subject.limits, trials.stage, self._observe)
        return plan, Sweep(plan, runner, trials)

    def _reference(self, workload: Workload) -> Unit:
        """The unit of a reference. Its file is named by all that the answer depends on."""
        key = short_digest(["reference", self._answers[workload.digest].name])
        return Unit(key=key, label=f"{workload.name}: reference")


def make_executor(study: SharedStudy) -> SweepExecutor:
    """Make what runs the units of a sweep."""
    return SweepExecutor(study)


def _unit(workload: Workload, members: Sequence[Configuration]) -> Unit:
    digests = [member.digest for member in members]
    measured = members[1:] or members
    return Unit(
        key=short_digest([KIND, workload.digest, digests]),
        label=f"{workload.name}: {', '.join(member.label for member in measured)}",
    )
