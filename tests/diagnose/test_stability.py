"""The stability report says under which settings an answer is finite, right and unaided."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from perfkit.answers.agreement import Tolerance, compare
from perfkit.answers.finite import check_finite
from perfkit.diagnose.stability import (
    COMPILER_SETTINGS,
    StabilityRow,
    is_stable,
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
    settings = stability_settings({"float32": {"precision": "float32"}, "bfloat16": {}})
    assert len(settings) == 2 * len(COMPILER_SETTINGS)
    assert len({setting.name for setting in settings}) == len(settings)
    without_fma = next(one for one in settings if one.name == "no fused multiply-add, float32")
    assert without_fma.knobs == {"xla_cpu_max_isa": "AVX", "precision": "float32"}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("af3", ["precision=bfloat16", "precision=float32"]),
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
    assert verdict([row]) == "no answer (timeout) under stock"


def test_the_verdict_names_the_settings_that_stand_apart() -> None:
    assert verdict([row_of(PLAIN)]) == "finite and in agreement under the only setting, stock"
    nan = np.array([1.0, np.nan, 1.0, 1.0])
    rows = [row_of(PLAIN, lifted=2), row_of(nan, number=1), row_of(PLAIN * 2, number=3)]
    assert verdict(rows) == (
        "not finite under no fused multiply-add; another answer under optimisation level 0; "
        "the guard was needed under stock"
    )
    assert verdict([]) == "no setting was tried"


def row_with(outcome: str, bad: int | None, agreement: str | None, number: int = 0) -> StabilityRow:
    row = row_of(PLAIN, number=number)
    return dataclasses.replace(row, outcome=outcome, bad_elements=bad, agreement=agreement)


@pytest.mark.parametrize(
    ("outcome", "bad", "agreement", "expected"),
    [
        ("disagrees", 0, "bfloat16", "another answer under stock"),
        ("disagrees", 0, "none", "another answer under stock"),
        ("ok", 0, "none", "another answer under stock"),
        ("nonfinite", 3, "none", "not finite under stock"),
        ("nonfinite", None, None, "not finite under stock"),
        ("ok", 3, "float32", "not finite under stock"),
        ("ok", 0, None, "not compared under stock"),
        ("crashed", None, None, "no answer (crashed) under stock"),
        ("crashed", 0, "bitwise", "no answer (crashed) under stock"),
        ("timeout", None, None, "no answer (timeout) under stock"),
        ("out_of_memory", None, None, "no answer (out of memory) under stock"),
        ("rejected", None, None, "no answer (rejected) under stock"),
        ("interrupted", None, None, "no answer (interrupted) under stock"),
    ],
)
def test_no_row_that_the_table_shows_at_fault_is_called_in_agreement(
    outcome: str, bad: int | None, agreement: str | None, expected: str
) -> None:
    at_fault = row_with(outcome, bad, agreement)
    assert verdict([at_fault, row_with("ok", 0, "float32", 1)]) == expected
    assert not is_stable(at_fault)


def test_six_rows_that_disagree_are_six_settings_with_another_answer() -> None:
    six = [row_with("disagrees", 0, "bfloat16", number) for number in range(6)]
    good = [row_with("ok", 0, "bfloat16", number) for number in range(6)]
    names = ", ".join(setting.name for setting in COMPILER_SETTINGS)
    assert verdict([*six, *good]) == f"another answer under {names}"
    assert verdict(good) == "finite and in agreement under all 6 settings"
    assert all(map(is_stable, good))
