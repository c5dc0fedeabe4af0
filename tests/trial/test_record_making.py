"""What was seen of a trial becomes its record."""

from __future__ import annotations

from pathlib import Path

from perfkit.knobs.configuration import STOCK
from perfkit.models.base import Workload
from perfkit.records.restrictions import Restrictions
from perfkit.records.schema import Outcome
from perfkit.trial.conditions.surroundings import Surroundings
from perfkit.trial.record_making import Measured, make_record
from perfkit.trial.request import TrialLabels

LABEL = "below production fidelity (steps 4 of 200): a measurement, not a prediction to rely on"


def test_the_label_of_the_fidelity_is_the_last_notice_and_nothing_is_said_twice(
    tmp_path: Path,
) -> None:
    measured = Measured(
        id="one",
        created="2026-01-01T00:00:00+00:00",
        workload=Workload("af3", "again", 6, {}, {"steps": 4}, "a", ("a bond is ignored",)),
        configuration=STOCK,
        labels=TrialLabels(),
        allowed_cpus=2,
        stages=(),
        told={"notices": {"notices": ["a bond is ignored", "a ligand is unknown", LABEL]}},
        timeline=None,
        begin_s=0.0,
        load=None,
        log=None,
        outcome=Outcome.OK,
        reason="",
        surroundings=Surroundings({}, {}, Restrictions(), ("niceness is 5",)),
    )
    assert make_record(measured, tmp_path).notices == [
        "a bond is ignored",
        "niceness is 5",
        "a ligand is unknown",
        LABEL,
    ]
