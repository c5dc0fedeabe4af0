"""perfkit itself is killed at random moments of a study, or its terminal is closed."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.support.faults.study import KilledStudy

pytest.importorskip("jax", reason="the trials are real")

SEED = 20
KILLS = 2

WHOLE_S = 6.0
"""About the time of the whole study; later moments find it finished."""


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_loses_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    study = KilledStudy(tmp_path)
    for number in [signal.SIGHUP, *[signal.SIGKILL] * KILLS]:
        run = study.killed(chance.uniform(0.0, WHOLE_S), number)
        # A hang-up ends perfkit in good order, unless it was not ready for it yet.
        assert run.code in (0, 130, -number)
    study.complete()
    assert study.faults == []
