"""Times and rates of stages, worked out by hand."""

from __future__ import annotations

import pytest

from perfkit.observers.clocks import Clocks, ClocksResult
from perfkit.observers.observer import ObservedRun
from tests.support.records_factory import make_stage


def test_the_passes_of_a_stage_are_added_up() -> None:
    # Each stage has 100 page faults and 15 context switches, 5 of them involuntary.
    stages = [make_stage("first", 0.0, 3.0), make_stage("steady", 3.0, 4.0)]
    stages += [make_stage("steady", 7.0, 6.0), make_stage("check", 13.0, 0.0)]
    found = Clocks().results(ObservedRun(stages, None))
    seen = ClocksResult.model_validate(found.data)
    # A stage without duration has no rates.
    assert list(seen.stages) == ["first", "steady"]
    steady = seen.stages["steady"]
    assert (steady.wall_s, steady.system_s) == (10.0, 0.0)
    assert steady.user_s == pytest.approx(1.8 * 10.0)
    assert steady.faults_per_s == pytest.approx(20.0)
    assert steady.switches_per_s == pytest.approx(3.0)
    assert steady.involuntary_switches_per_s == pytest.approx(1.0)
