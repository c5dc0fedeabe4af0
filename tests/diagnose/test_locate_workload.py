"""A prediction is searched call by call, here or in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import jax.numpy as jnp
import pytest
from jax import Array

from perfkit.answers.finite import NOTHING_DECLARED
from perfkit.diagnose.locate.finding import finding_from_dict
from perfkit.diagnose.locate.function import locate_in_function
from perfkit.diagnose.locate.workload import (
    SearchResult,
    locate_in_prediction,
    locate_in_workload,
)
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK
from perfkit.models.prepared import Prepared
from perfkit.models.workload import Workload
from tests.support.guard_programs import planted


def prediction(function: Callable[[Array], Array], calls: int) -> Prepared:
    """Make a prediction that calls a function with 0, 1, 2 and so on."""

    def drive(compiled: Callable[[Array], Any]) -> list[Any]:
        return [compiled(jnp.full(2, float(call))) for call in range(calls)]

    # The search uses only these three attributes of a prediction.
    prepared = SimpleNamespace(function=function, drive=drive, declared_nan=NOTHING_DECLARED)
    return cast("Prepared", prepared)


def test_a_prediction_is_searched_call_by_call() -> None:
    # 1.5 - x is 1.5, 0.5 and then -0.5: the square root is NaN in call 2.
    result = locate_in_prediction(prediction(lambda x: jnp.sqrt(1.5 - x), calls=4))
    assert result.call == 2
    assert result.finding is not None
    assert result.finding.operands[0].at_fault == -0.5


def test_a_finite_prediction_has_no_finding() -> None:
    assert locate_in_prediction(prediction(jnp.sqrt, calls=3)) == SearchResult(None, 3)


@pytest.mark.parametrize(("guard", "is_found"), [("off", True), ("lift", False), ("zero", False)])
def test_a_prediction_is_searched_under_the_mode_of_the_guard(guard: str, is_found: bool) -> None:
    # In call 1, 1 - 1.0000001 is negative by rounding.
    near = prediction(lambda x: jnp.sqrt(x * 0 + 1 - (x * 0 + 1.0000001)), calls=1)
    assert (locate_in_prediction(near, guard).finding is not None) == is_found


def test_a_result_is_reported_in_sentences() -> None:
    assert SearchResult(None, 3).sentences() == ["every value of the prediction is finite"]
    finding = locate_in_function(planted, jnp.ones(2))
    assert finding is not None
    assert SearchResult(finding, 0).sentences() == [finding.sentence()]
    last = SearchResult(finding, 2).sentences()[-1]
    assert last == "in call 2 of the compiled function, counted from 0"


def test_a_finding_is_unchanged_after_a_round_trip_to_json() -> None:
    finding = locate_in_function(planted, jnp.ones(2))
    assert finding is not None
    assert finding_from_dict(json.loads(json.dumps(finding.as_dict()))) == finding


def test_a_user_error_in_the_process_is_raised_in_the_caller() -> None:
    workload = Workload.from_dict(
        {
            "model": "a test's",
            "name": "x",
            "size": 1,
            "source": {},
            "fidelity": {},
            "input_digest": "",
            "notices": [],
        }
    )
    with pytest.raises(UserError, match="unknown model"):
        locate_in_workload(workload, STOCK)
