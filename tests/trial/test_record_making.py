"""The record of a trial, from what is known at its end."""

from __future__ import annotations

from pathlib import Path

from perfkit.knobs.configuration import STOCK
from perfkit.models.workload import Workload
from perfkit.records.restrictions import Restrictions
from perfkit.records.schema import Outcome
from perfkit.trial.conditions.inherited import Inherited
from perfkit.trial.messages import Event, EventKind
from perfkit.trial.progress import TrialProgress
from perfkit.trial.record_making import TrialResult, make_record
from perfkit.trial.request import TrialRequest

LABEL = "below production fidelity (steps 4 of 200): a measurement, not a prediction to rely on"


def test_the_label_of_the_fidelity_is_the_last_notice_and_no_notice_is_repeated(
    tmp_path: Path,
) -> None:
    workload = Workload("af3", "again", 6, {}, {"steps": 4}, "a", ("a bond is ignored",))
    progress = TrialProgress()
    reported = ["a bond is ignored", "a ligand is unknown", LABEL]
    progress.take(Event(EventKind.NOTICES, {"notices": reported}))
    result = TrialResult(
        id="one",
        request=TrialRequest(workload, STOCK, tmp_path),
        progress=progress,
        allowed_cpus=2,
        inherited=Inherited({}, {}, Restrictions(), ("niceness is 5",)),
        timeline=None,
        log=None,
        outcome=Outcome.OK,
        reason="",
    )
    assert make_record(result).notices == [
        "a bond is ignored",
        "niceness is 5",
        "a ligand is unknown",
        LABEL,
    ]
