"""Runs the trials of a stability report: one workload under every setting, guarded and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit.diagnose.stability.report import StabilityRow, stability_row
from perfkit.diagnose.stability.settings import Setting
from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue
from perfkit.models.base import Model, Workload
from perfkit.records.machine import setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.limits import Limits
from perfkit.trial.messages import GUARD_OFF
from perfkit.trial.request import TrialFiles, TrialLabels, reference_file


@dataclass(frozen=True)
class StabilityPlan:
    """What a stability report runs.

    Attributes
    ----------
    model
        The model.
    catalogue
        The knobs that the settings may set.
    workload
        The workload.
    settings
        The settings.
    store
        Where records go.
    limits
        Limits of each trial.
    guard
        Mode of the domain guard in each trial: ``lift`` or ``zero``.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    settings: Sequence[Setting]
    store: Store
    limits: Limits
    guard: str

    @property
    def study(self) -> str:
        """Digest of the study: the same command on the same machine continues it."""
        same = [Role.STABILITY, self.workload.digest, self.guard, setting_digest()]
        return short_digest(same)


@dataclass(frozen=True)
class StabilityTrial:
    """One trial of a stability report.

    Attributes
    ----------
    values
        Knob values that differ from stock.
    labels
        Purpose of the trial, for its record.
    files
        Files that the trial reads and writes.
    guard
        Mode of the domain guard.
    """

    values: dict[str, str]
    labels: TrialLabels
    files: TrialFiles
    guard: str


RunTrial = Callable[[StabilityPlan, StabilityTrial], Record]
"""Runs one trial and returns its record."""


def run_in_process(plan: StabilityPlan, trial: StabilityTrial) -> Record:
    """Run a trial in a process of its own, without timed passes."""
    process = TrialProcess(
        plan.workload,
        plan.catalogue.configuration(trial.values),
        plan.store.folder,
        plan.limits,
        trial.labels,
        trial.files,
        trial.guard,
    )
    return run_trial(process, passes=0)


def run_stability(
    plan: StabilityPlan,
    on_record: Callable[[Record], None] = lambda record: None,
    run: RunTrial = run_in_process,
) -> list[StabilityRow]:
    """Run the reference and every setting; return one row for each setting.

    Trials of the same study that the store holds already are not run again.

    Parameters
    ----------
    plan
        What is run.
    on_record
        Called with each new record.
    run
        Runs one trial.

    Raises
    ------
    KeyboardInterrupt
        The user interrupted a trial; its record and all earlier ones are kept.
    """

    def record_of(trial: StabilityTrial) -> Record:
        record = run(plan, trial)
        plan.store.append(record)
        on_record(record)
        if record.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        return record

    reference = reference_file(plan.store.folder, plan.workload)
    if not holds_answers(reference):
        labels = TrialLabels(role=Role.REFERENCE)
        files = TrialFiles(save_compared=reference)
        record_of(StabilityTrial(dict(plan.model.reference_values), labels, files, GUARD_OFF))
    done = {
        record.configuration.digest: record
        for record in plan.store.records()
        if record.study == plan.study and record.outcome is not Outcome.INTERRUPTED
    }
    rows = []
    for setting in plan.settings:
        record = done.get(plan.catalogue.configuration(setting.knobs).digest)
        if record is None:
            files = TrialFiles(reference=reference if reference.exists() else None)
            labels = TrialLabels(study=plan.study, role=Role.STABILITY)
            record = record_of(StabilityTrial(dict(setting.knobs), labels, files, plan.guard))
        rows.append(_row(setting, record))
    return rows


def _row(setting: Setting, record: Record) -> StabilityRow:
    guard, finite, agreement = (
        None if found is None else found.as_dict()
        for found in (record.guard, record.finite, record.agreement)
    )
    return stability_row(setting, record.id, record.outcome, guard, finite, agreement)
