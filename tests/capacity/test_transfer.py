"""A fit on another machine: every part at the speed that the calibration measured."""

from __future__ import annotations

import math

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import Calibration, calibrate
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.laws.transfer import transferred
from perfkit.records.schema import Record
from tests.support.planted import record, step_s, study, trunk_s

CEILINGS = {"float32_flops_per_s": 1e11, "copy_bytes_per_s": 1e10}
SLOWER = {"trunk_pass": 2.0, "diffusion_step": 3.0}
COUNTS = {"trunk_pass": 1, "diffusion_step": 2, "confidence": 1}


def elsewhere(size: int) -> Record:
    """A trial on a machine on which some parts are slower than on that of the fit."""
    own = record(size)
    assert own.part_times_s is not None
    parts = {name: value * SLOWER.get(name, 1.0) for name, value in own.part_times_s.items()}
    whole = sum(parts.values())
    stages = [
        stage.model_copy(update={"wall_s": whole}) if stage.name == "steady" else stage
        for stage in own.stages
    ]
    return own.model_copy(update={"part_times_s": parts, "stages": stages})


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    return assemble(study()).model_copy(update={"ceilings": CEILINGS})


def calibrated(copy: float) -> Calibration:
    """A calibration at 48 tokens, with a copy that is ``copy`` times as fast as the fit's."""
    faster = {**CEILINGS, "copy_bytes_per_s": copy * CEILINGS["copy_bytes_per_s"]}
    return calibrate([elsewhere(48)], faster, None)


def test_each_part_has_its_own_factor(fit: ModelFit) -> None:
    here = transferred(fit, calibrated(1.0))
    seconds = here.seconds({"n": 80.0, "s": 5.0}, {})
    assert seconds["trunk_pass"] == pytest.approx(2 * trunk_s(80), rel=1e-6)
    assert seconds["diffusion_step"] == pytest.approx(3 * step_s(80, 5), rel=1e-6)
    # Start and memory are as on the machine of the fit.
    assert seconds["compile"] == pytest.approx(20.0, rel=1e-6)
    at = {"n": 80.0, "s": 5.0}
    assert here.memory_range(at, 1) == fit.memory_range(at, 1)
    assert here.held_out == ()


def test_a_scaled_law_is_as_certain_as_before(fit: ModelFit) -> None:
    law, at = fit.laws["trunk_pass"], {"n": 700.0, "s": 5.0}
    assert law.scaled(3.0).value(at) == pytest.approx(3 * law.value(at))
    assert law.scaled(3.0).leverage(at) == pytest.approx(law.leverage(at))


def _reach(found: Range) -> float:
    return math.log(found.high / found.value)


def test_ceilings_that_disagree_with_the_trial_widen_the_interval(fit: ModelFit) -> None:
    at = {"n": 48.0, "s": 5.0}

    def interval(copy: float) -> Range:
        here = transferred(fit, calibrated(copy))
        seconds = here.seconds(at, COUNTS)
        return here.time_range(at, {name: seconds[name] for name in COUNTS})

    alike, apart = interval(0.5), interval(0.125)
    assert alike.value == apart.value
    # A copy that is eight times as slow leaves at least a factor of three between itself and the
    # trial, which is at most 3.0 / 1.0 times as slow.
    assert _reach(apart) >= math.log(8 / 3)
    assert _reach(alike) < _reach(apart)
