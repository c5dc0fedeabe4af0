"""Production times added up from parts, by hand."""

from __future__ import annotations

import pytest
from replay import compilation, record

from perfkit.records.schema import Outcome
from perfkit.tune.extrapolate import Part, extrapolate

PARTS = {"trunk_pass": 1, "diffusion_step": 4, "confidence": 1}
TIMES = {"trunk_pass": 3.0, "diffusion_step": 8.0, "confidence": 0.5, "rest": 0.25}
PRODUCTION = {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}
COUNTS = {"trunk_pass": 11, "diffusion_step": 400, "confidence": 1}

LOW = record({}, role="parts", compilation=compilation(PARTS), part_times_s=TIMES)
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


def test_all_passes_say_how_long_a_pass_takes() -> None:
    """The parts were traced while the machine was slow: 12 s where nine other passes took 10 s."""
    slow = record(
        {},
        role="parts",
        times={0: 12.0},
        compilation=compilation(PARTS),
        part_times_s={"trunk_pass": 6.0, "diffusion_step": 6.0},
    )
    confirmed = record({}, role="confirm", times=dict.fromkeys(range(9), 10.0))
    found = extrapolate([confirmed, slow], DIGEST, PRODUCTION, COUNTS)
    assert found is not None
    assert found.total.median == pytest.approx((11 * 6.0 + 400 * 1.5) * 10.0 / 12.0)


def test_the_same_sum_is_held_against_a_longer_run() -> None:
    longer = record(
        {},
        role="check",
        times={0: 28.0, 1: 32.0},
        compilation=compilation({"trunk_pass": 3, "diffusion_step": 10, "confidence": 1}),
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
