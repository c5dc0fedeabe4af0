"""The stability report says under which settings an answer is finite, right and unaided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfkit.guard.agreement import Tolerance, compare
from perfkit.guard.finite import check_finite
from perfkit.guard.stability import (
    COMPILER_SETTINGS,
    StabilityRow,
    precisions_of,
    stability_row,
    stability_settings,
    verdict,
)
from perfkit.models import get_model

PLAIN = np.ones(4)


def row_of(values: np.ndarray, lifted: int = 0, number: int = 0) -> StabilityRow:
    agreement = compare({"x": values}, {"x": PLAIN}, {"x": Tolerance(1e-5, 1e-2)}).as_dict()
    guard: dict[str, Any] = {"lifted": lifted, "zeroed": 0}
    finite = check_finite({"x": values}).as_dict()
    return stability_row(COMPILER_SETTINGS[number], "id", "ok", guard, finite, agreement)


def test_the_matrix_has_every_setting_in_every_precision() -> None:
    settings = stability_settings({"float32": {"bfloat16": "none"}, "bfloat16": {}})
    assert len(settings) == 2 * len(COMPILER_SETTINGS)
    assert len({setting.name for setting in settings}) == len(settings)
    without_fma = next(one for one in settings if one.name == "no fused multiply-add, float32")
    assert without_fma.knobs == {"xla_cpu_max_isa": "AVX", "bfloat16": "none"}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("af3", ["bfloat16=all", "bfloat16=none"]),
        ("gencast", ["precision=float32", "precision=bfloat16_network", "precision=bfloat16"]),
    ],
)
def test_every_precision_of_a_model_is_in_its_matrix(model: str, expected: list[str]) -> None:
    own = get_model(model)
    assert list(precisions_of(own.knobs, own.reference_values)) == expected


def test_a_row_says_what_the_trial_said() -> None:
    row = row_of(PLAIN * 1.001, lifted=3)
    assert (row.lifted, row.bad_elements, row.agreement) == (3, 0, "bfloat16")
    assert row.distance == pytest.approx(1e-3)
    assert dict(row.distances) == {"x": row.distance}


def test_a_trial_that_never_ended_has_no_numbers() -> None:
    row = stability_row(COMPILER_SETTINGS[0], "id", "timeout", None, None, None)
    assert (row.lifted, row.bad_elements, row.agreement, row.distance) == (None,) * 4
    assert verdict([row]) == "no answer under stock"


def test_the_verdict_names_the_settings_that_stand_apart() -> None:
    assert verdict([row_of(PLAIN)]) == "finite and in agreement under all 1 settings"
    nan = np.array([1.0, np.nan, 1.0, 1.0])
    told = verdict([row_of(PLAIN, lifted=2), row_of(nan, number=1), row_of(PLAIN * 2, number=3)])
    assert "not finite under no fused multiply-add" in told
    assert "another answer under no fused multiply-add, optimisation level 0" in told
    assert "the guard was needed under stock" in told
    assert verdict([]) == "no setting was tried"
