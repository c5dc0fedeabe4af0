"""Runs the trials of a stability report: one workload under every setting, guarded and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perfkit.diagnose.stability.report import StabilityRow, stability_row
from perfkit.diagnose.stability.settings import Setting
from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.limits import Limits
from perfkit.trial.messages import GUARD_OFF
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest, reference_file


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


type RunTrial = Callable[[TrialRequest], Record]
"""Runs one trial and returns its record."""


def run_in_process(request: TrialRequest) -> Record:
    """Run a trial in a process of its own, without timed passes."""
    return run_trial(TrialProcess(request), passes=0)


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

    def record_of(
        values: Mapping[str, str], labels: TrialLabels, files: TrialFiles, guard: str
    ) -> Record:
        request = TrialRequest(
            plan.workload,
            plan.catalogue.configuration(values),
            plan.store.folder,
            plan.limits,
            labels,
            files,
            guard,
        )
        record = run(request)
        plan.store.append(record)
        on_record(record)
        if record.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        return record

    reference = reference_file(plan.store.folder, plan.workload)
    if not holds_answers(reference):
        labels = TrialLabels(role=Role.REFERENCE)
        files = TrialFiles(save_compared=reference)
        record_of(plan.model.reference_values, labels, files, GUARD_OFF)
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
            record = record_of(setting.knobs, labels, files, plan.guard)
        rows.append(stability_row(setting, record))
    return rows
