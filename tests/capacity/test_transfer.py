"""A fit on another machine: every part at the speed that the calibration measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from scipy.special import stdtrit

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


def slower(size: int, factors: Mapping[str, float]) -> Record:
    """A trial on a machine on which some parts are slower than on that of the fit."""
    own = record(size)
    assert own.part_times_s is not None
    parts = {name: value * factors.get(name, 1.0) for name, value in own.part_times_s.items()}
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
    return calibrate([slower(48, SLOWER)], faster, None)


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


def interval(fit: ModelFit, calibration: Calibration, tokens: float) -> Range:
    at = {"n": tokens, "s": 5.0}
    here = transferred(fit, calibration)
    seconds = here.seconds(at, COUNTS)
    return here.time_range(at, {name: seconds[name] for name in COUNTS})


def reach(found: Range) -> float:
    return math.log(found.high / found.value)


def test_the_interval_grows_with_the_distance_and_with_ceilings_that_disagree(
    fit: ModelFit,
) -> None:
    """At the size of the trial, its own error and that of a further process remain."""
    t_90 = stdtrit(fit.freedom, 0.95)
    near = reach(interval(fit, calibrated(0.5), 48))
    assert 0.05 * t_90 <= near <= 0.1 * t_90
    alike, apart = (interval(fit, calibrated(copy), 800) for copy in (0.5, 0.05))
    assert near < reach(alike) < reach(apart)
    assert alike.value == pytest.approx(apart.value)


def test_a_second_size_distinguishes_the_terms(fit: ModelFit) -> None:
    """Three times as slow in what does not grow with the pairs, equally fast in the rest."""

    def slow_overhead(size: int) -> Record:
        return slower(size, {"trunk_pass": 1 + 2 * (0.5 + 0.01 * size) / trunk_s(size)})

    def error(*sizes: int) -> float:
        # Ceilings ten times as low leave room for factors that are far apart.
        low = {name: rate / 10 for name, rate in CEILINGS.items()}
        made = calibrate([slow_overhead(size) for size in sizes], low, None)
        seconds = transferred(fit, made).seconds({"n": 192.0, "s": 5.0}, {})
        return seconds["trunk_pass"] / (trunk_s(192) + 2 * (0.5 + 0.01 * 192)) - 1

    assert error(48) > 0.4
    assert abs(error(48, 96)) < 0.1
