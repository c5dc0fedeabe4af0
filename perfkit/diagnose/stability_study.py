"""The stability report's trials: one workload under a matrix of compiler settings, guarded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit.diagnose.stability import Setting, StabilityRow, stability_row
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
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest, reference_file


@dataclass(frozen=True)
class StabilityPlan:
    """What a stability report runs.

    Parameters
    ----------
    settings
        The matrix.
    guard
        What the domain guard does in each trial: ``lift`` or ``zero``.
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
        """Digest of the study: the same command on the same machine goes on with it."""
        same = [Role.STABILITY, self.workload.digest, self.guard, setting_digest()]
        return short_digest(same)


def run_stability(plan: StabilityPlan, on_record: Callable[[Record], None]) -> list[StabilityRow]:
    """Run the reference and every setting; one row a setting.

    What the store holds of the same study already is not run again.

    Raises
    ------
    KeyboardInterrupt
        The user interrupted a trial; its record and all before it are kept.
    """
    reference = reference_file(plan.store.folder, plan.workload)
    if not holds_answers(reference):
        values = plan.model.reference_values
        files = TrialFiles(save_compared=reference)
        _run(plan, dict(values), TrialLabels(role=Role.REFERENCE), files, "off", on_record)
    done = {
        record.configuration.digest: record
        for record in plan.store.records()
        if record.study == plan.study and record.outcome is not Outcome.INTERRUPTED
    }
    rows = []
    for setting in plan.settings:
        files = TrialFiles(reference=reference if reference.exists() else None)
        labels = TrialLabels(study=plan.study, role=Role.STABILITY)
        record = done.get(plan.catalogue.configuration(setting.knobs).digest)
        if record is None:
            record = _run(plan, dict(setting.knobs), labels, files, plan.guard, on_record)
        rows.append(
            stability_row(
                setting,
                record.id,
                record.outcome,
                record.guard,
                record.finite,
                record.agreement,
            )
        )
    return rows


def _run(
    plan: StabilityPlan,
    values: dict[str, str],
    labels: TrialLabels,
    files: TrialFiles,
    guard: str,
    on_record: Callable[[Record], None],
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
    record = run_trial(TrialProcess(request), passes=0)
    plan.store.append(record)
    on_record(record)
    if record.outcome is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    return record
