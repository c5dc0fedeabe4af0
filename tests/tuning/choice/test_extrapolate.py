"""Production times added up from parts, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.virtual_trials import virtual_compilation
from perfkit.records.schema import Outcome, Record
from perfkit.tuning.choice.extrapolate import Part, extrapolate
from tests.support.replay import record

PARTS = {"trunk_pass": 1, "diffusion_step": 4, "confidence": 1}
TIMES = {"trunk_pass": 3.0, "diffusion_step": 8.0, "confidence": 0.5, "rest": 0.25}
PRODUCTION = {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}
COUNTS = {"trunk_pass": 11, "diffusion_step": 400, "confidence": 1}

LOW = record({}, role="parts", compilation=virtual_compilation(PARTS), part_times_s=TIMES)
DIGEST = LOW.configuration.digest


def test_production_is_the_sum_of_its_parts() -> None:
    found = extrapolate([LOW], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    # 11 x 3 s + 400 x (8 s / 4) + 0.5 s + 0.25 s.
    assert found.total.median == 33.0 + 800.0 + 0.5 + 0.25
    assert Part("diffusion_step", 2.0, 400) in found.parts
    assert Part("rest", 0.25, 1) in found.parts
    assert found.fidelity == PRODUCTION
    assert found.check is None


def test_the_level_of_a_pass_is_the_median_of_all_passes() -> None:
    """The parts were traced while the machine was slow: 12 s where nine other passes took 10 s."""
    slow = record(
        {},
        role="parts",
        times={0: 12.0},
        compilation=virtual_compilation(PARTS),
        part_times_s={"trunk_pass": 6.0, "diffusion_step": 6.0},
    )
    confirmed = record({}, role="confirm", times=dict.fromkeys(range(9), 10.0))
    found = extrapolate([confirmed, slow], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    assert found.total.median == pytest.approx((11 * 6.0 + 400 * 1.5) * 10.0 / 12.0)


def test_passes_of_a_shallow_network_do_not_count_for_the_level() -> None:
    parts = {"trunk_pass": 6.0, "diffusion_step": 6.0}
    traced = record(
        {},
        role="parts",
        times={0: 12.0},
        compilation=virtual_compilation(PARTS),
        part_times_s=parts,
    )
    screened = record({}, role="base", times=dict.fromkeys(range(9), 1.0))
    shallow = screened.model_copy(
        update={"workload": screened.workload.model_copy(update={"depth": "shallow"})}
    )
    found = extrapolate([shallow, traced], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    assert found.total.median == pytest.approx(11 * 6.0 + 400 * 1.5)


def test_the_sum_is_checked_against_a_longer_run() -> None:
    longer = record(
        {},
        role="check",
        times={0: 28.0, 1: 32.0},
        compilation=virtual_compilation({"trunk_pass": 3, "diffusion_step": 10, "confidence": 1}),
    )
    more = longer.workload.model_copy(
        update={"fidelity": {"recycles": 2, "steps": 10, "samples": 1, "seeds": 1}}
    )
    longer = longer.model_copy(update={"workload": more})
    found = extrapolate([LOW, longer], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    assert found.check is not None
    # 3 x 3 s + 10 x 2 s + 0.5 s + 0.25 s = 29.75 s where 30 s were measured.
    assert found.check.predicted_s == 29.75
    assert found.check.measured_s == 30.0
    assert found.check.error == 29.75 / 30.0 - 1.0


def test_without_parts_of_the_configuration_nothing_is_extrapolated() -> None:
    failed = LOW.model_copy(update={"outcome": Outcome.CRASHED})
    untraced = LOW.model_copy(update={"part_times_s": None})
    for records in ([], [failed], [untraced]):
        assert extrapolate(records, DIGEST, PRODUCTION, COUNTS) is None
    assert extrapolate([LOW], "another", PRODUCTION, COUNTS) is None


def _confirmed(times_s: list[float]) -> list[Record]:
    """One process per time, with three passes of that time."""
    return [
        record({}, role="confirm", id=str(number), times=dict.fromkeys(range(3), wall_s))
        for number, wall_s in enumerate(times_s)
    ]


def test_the_interval_holds_the_spread_of_processes_and_the_error_of_the_sum() -> None:
    # Logarithms -0.1, -0.1, 0, 0, 0.1, 0.1: their standard deviation is sqrt(0.04 / 5).
    times_s = [10.0 * math.exp(one) for one in (-0.1, -0.1, 0.0, 0.0, 0.1, 0.1)]
    found = extrapolate([*_confirmed(times_s), LOW], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    # Student's t with 5 degrees of freedom: 2.5706 at 97.5 %; a further process adds 1 / 6.
    factor = math.exp(2.5706 * math.sqrt(0.04 / 5 * 7 / 6)) * 1.05
    assert found.total.ends == pytest.approx(
        (found.total.median / factor, found.total.median * factor), rel=1e-4
    )


def test_fewer_than_six_processes_give_no_interval() -> None:
    found = extrapolate([*_confirmed([10.0] * 5), LOW], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    assert found.total.ends is None


def test_the_interval_covers_the_time_of_a_further_process() -> None:
    """The parts' process differs from the truth as the confirmed ones do: 95 % of 800 are covered.

    40 misses are expected at most, and more than 68 (four and a half standard errors above) have
    a chance below 1e-5.
    """
    generator = np.random.default_rng(2)
    missed = 0
    for _ in range(800):
        offsets = generator.normal(0.0, 0.05, 7)
        parts_s = 10.0 * math.exp(offsets[0])
        parts = record(
            {},
            role="parts",
            times={0: parts_s},
            compilation=virtual_compilation({"diffusion_step": 1}),
            part_times_s={"diffusion_step": parts_s},
            workload=LOW.workload.model_copy(update={"fidelity": {"steps": 2}}),
        )
        confirmed = _confirmed([10.0 * math.exp(offset) for offset in offsets[1:]])
        found = extrapolate([*confirmed, parts], DIGEST, PRODUCTION, {"diffusion_step": 100})
        assert found is not None
        assert found.total.ends is not None
        low, high = found.total.ends
        missed += not low <= 1000.0 <= high
    assert missed <= 68
