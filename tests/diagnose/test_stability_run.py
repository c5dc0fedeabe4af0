"""A stability report that was interrupted continues where it stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from perfkit.diagnose.stability.run import StabilityPlan, run_stability
from perfkit.diagnose.stability.settings import cross_settings
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.schema import Outcome, Record, WorkloadRecord
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialRequest
from tests.support.records_factory import make_record

SETTINGS = cross_settings({"stock precision": {}})


@pytest.fixture
def plan(tmp_path: Path) -> StabilityPlan:
    model = get_model("gencast")
    workload = model.workload({"resolution": 10.0, "mesh": 1}, {})
    catalogue = Catalogue(model.knobs)
    return StabilityPlan(model, catalogue, workload, SETTINGS, Store(tmp_path), Limits(), "lift")


@dataclasses.dataclass
class RecordingRun:
    """Makes a record of each trial without running it; one trial is interrupted."""

    interrupted: int
    trials: list[TrialRequest] = dataclasses.field(default_factory=list)

    def __call__(self, trial: TrialRequest) -> Record:
        self.trials.append(trial)
        is_interrupted = len(self.trials) == self.interrupted
        return make_record(
            trial.configuration.as_dict(),
            workload=WorkloadRecord(**trial.workload.as_dict()),
            identifier=f"trial-{len(self.trials)}",
            outcome=Outcome.INTERRUPTED if is_interrupted else Outcome.OK,
        ).model_copy(update={"study": trial.labels.study, "role": trial.labels.role})


def test_an_interrupted_report_continues_where_it_stopped(plan: StabilityPlan) -> None:
    run = RecordingRun(interrupted=4)
    with pytest.raises(KeyboardInterrupt):
        run_stability(plan, run=run)
    assert len(run.trials) == 4
    rows = run_stability(plan, run=run)
    assert [row.setting for row in rows] == [setting.name for setting in SETTINGS]
    # The reference left no file here, so it runs again; two of the settings had ended.
    assert len(run.trials) == 4 + 1 + len(SETTINGS) - 2
    assert {row.outcome for row in rows} == {"ok"}
    assert len({row.record for row in rows}) == len(SETTINGS)


def test_the_reference_runs_first_and_without_the_guard(plan: StabilityPlan) -> None:
    run = RecordingRun(interrupted=0)
    run_stability(plan, run=run)
    reference, *others = run.trials
    assert reference.configuration == plan.catalogue.configuration(plan.model.reference_values)
    assert (reference.guard, reference.labels.role) == ("off", "reference")
    assert reference.files.save_compared is not None
    assert [trial.guard for trial in others] == ["lift"] * len(SETTINGS)


def test_another_mode_of_the_guard_is_another_study(plan: StabilityPlan) -> None:
    assert dataclasses.replace(plan, guard="zero").study != plan.study
