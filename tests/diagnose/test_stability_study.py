"""A stability report that was cut short goes on where it stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from perfkit.diagnose import stability_study
from perfkit.diagnose.stability import stability_settings
from perfkit.diagnose.stability_study import StabilityPlan, run_stability
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.schema import Outcome, Record, WorkloadRecord
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from tests.support.records_factory import make_record

SETTINGS = stability_settings({"stock precision": {}})


@pytest.fixture
def plan(tmp_path: Path) -> StabilityPlan:
    model = get_model("gencast")
    workload = model.workload({"resolution": 10.0, "mesh": 1}, {})
    catalogue = Catalogue(model.knobs)
    return StabilityPlan(model, catalogue, workload, SETTINGS, Store(tmp_path), Limits(), "lift")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of the trials that were run; the fourth is interrupted."""
    labels: list[str] = []

    def run(trial: Any, passes: int) -> Record:
        label = trial.configuration.label
        labels.append(label)
        return make_record(
            trial.configuration.as_dict(),
            workload=WorkloadRecord(**trial.request.workload.as_dict()),
            identifier=trial.id,
            outcome=Outcome.INTERRUPTED if len(labels) == 4 else Outcome.OK,
        ).model_copy(
            update={"study": trial.request.labels.study, "role": trial.request.labels.role}
        )

    monkeypatch.setattr(stability_study, "run_trial", run)
    return labels


def test_what_was_run_is_not_run_again(plan: StabilityPlan, ran: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stability(plan, lambda record: None)
    assert len(ran) == 4
    rows = run_stability(plan, lambda record: None)
    assert [row.setting for row in rows] == [setting.name for setting in SETTINGS]
    # The reference left no file here, so that it is tried again; of the settings, two had ended.
    assert len(ran) == 4 + 1 + len(SETTINGS) - 2
    assert {row.outcome for row in rows} == {"ok"}
    assert len({row.record for row in rows}) == len(SETTINGS)


def test_another_mode_of_the_guard_is_another_study(plan: StabilityPlan) -> None:
    assert dataclasses.replace(plan, guard="zero").study != plan.study
