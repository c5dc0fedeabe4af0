"""The stability report names the settings under which the answer is wrong or needs the guard."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from perfkit.answers.agreement import Tolerance, compare
from perfkit.answers.finite import check_finite
from perfkit.diagnose.stability.report import (
    StabilityRow,
    is_stable,
    stability_row,
    verdict,
)
from perfkit.diagnose.stability.settings import (
    COMPILER_SETTINGS,
    cross_settings,
    precisions_of,
)
from perfkit.models import get_model
from perfkit.records.findings import AgreementRecord, FiniteRecord, GuardRecord
from perfkit.records.schema import Outcome
from tests.support.records_factory import make_record

PLAIN = np.ones(4)


def row_of(values: NDArray[np.float64], lifted: int = 0, number: int = 0) -> StabilityRow:
    agreement = compare({"x": values}, {"x": PLAIN}, {"x": Tolerance(1e-5, 1e-2)})
    record = make_record().model_copy(
        update={
            "guard": GuardRecord(mode="lift", lifted=lifted, zeroed=0),
            "finite": FiniteRecord.model_validate(check_finite({"x": values}).as_dict()),
            "agreement": AgreementRecord.model_validate(agreement.as_dict()),
        }
    )
    return stability_row(COMPILER_SETTINGS[number], record)


def test_every_compiler_setting_is_run_in_every_precision() -> None:
    settings = cross_settings({"float32": {"precision": "float32"}, "bfloat16": {}})
    assert len(settings) == 2 * len(COMPILER_SETTINGS)
    assert len({setting.name for setting in settings}) == len(settings)
    without_fma = next(
        setting for setting in settings if setting.name == "no fused multiply-add, float32"
    )
    assert without_fma.knobs == {"xla_cpu_max_isa": "AVX", "precision": "float32"}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("af3", ["precision=bfloat16", "precision=float32"]),
        ("gencast", ["precision=float32", "precision=bfloat16_network", "precision=bfloat16"]),
    ],
)
def test_every_precision_of_a_model_has_its_settings(model: str, expected: list[str]) -> None:
    own = get_model(model)
    assert list(precisions_of(own.knobs, own.reference_values)) == expected


def test_a_row_holds_the_numbers_of_its_trial() -> None:
    row = row_of(PLAIN * 1.001, lifted=3)
    assert (row.lifted, row.bad_elements, row.agreement) == (3, 0, "bfloat16")
    assert row.distance == pytest.approx(1e-3)
    assert dict(row.distances) == {"x": row.distance}


def test_a_trial_without_an_answer_has_no_numbers() -> None:
    record = make_record(outcome=Outcome.TIMEOUT)
    assert (record.guard, record.finite, record.agreement) == (None, None, None)
    row = stability_row(COMPILER_SETTINGS[0], record)
    assert (row.lifted, row.bad_elements, row.agreement, row.distance) == (None,) * 4
    assert verdict([row]) == "no answer (timeout) under stock"


def test_the_verdict_names_the_settings_with_a_fault() -> None:
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
def test_a_row_with_a_fault_is_named_in_the_verdict(
    outcome: str, bad: int | None, agreement: str | None, expected: str
) -> None:
    at_fault = row_with(outcome, bad, agreement)
    assert verdict([at_fault, row_with("ok", 0, "float32", 1)]) == expected
    assert not is_stable(at_fault)


def test_all_settings_with_the_same_fault_are_listed_together() -> None:
    six = [row_with("disagrees", 0, "bfloat16", number) for number in range(6)]
    good = [row_with("ok", 0, "bfloat16", number) for number in range(6)]
    names = ", ".join(setting.name for setting in COMPILER_SETTINGS)
    assert verdict([*six, *good]) == f"another answer under {names}"
    assert verdict(good) == "finite and in agreement under all 6 settings"
    assert all(map(is_stable, good))
