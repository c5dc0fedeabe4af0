"""``perfkit doctor``, ``perfkit guard`` and the search that the latter starts."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import pytest

import perfkit.models
from perfkit.answers.finite import NOTHING_DECLARED
from perfkit.cli.commands import doctor as doctor_command
from perfkit.cli.commands import guard as guard_command
from perfkit.diagnose import doctor, known_answers
from perfkit.diagnose.finding import finding_from_dict
from perfkit.diagnose.locate import locate
from perfkit.diagnose.locate_model import Located, locate_in_child, search
from perfkit.errors import UserError
from tests.support.guard_programs import planted

WORKLOAD: dict[str, Any] = {
    "model": "a test's",
    "name": "x",
    "size": 1,
    "source": {},
    "fidelity": {},
    "input_digest": "",
    "notices": [],
}


def use_model(monkeypatch: pytest.MonkeyPatch, function: Any, calls: int) -> None:
    prepared = SimpleNamespace(
        function=function,
        drive=lambda compiled: [compiled(jnp.full(2, float(call))) for call in range(calls)],
        declared_nan=NOTHING_DECLARED,
    )
    model = SimpleNamespace(load=lambda: None, prepare=lambda workload, overrides: prepared)
    monkeypatch.setattr(perfkit.models, "get_model", lambda name: model)


def test_a_model_is_searched_call_by_call(monkeypatch: pytest.MonkeyPatch) -> None:
    use_model(monkeypatch, lambda x: jnp.sqrt(1.5 - x), calls=4)
    located = search(WORKLOAD, {})
    assert located.call == 2
    assert located.finding is not None
    assert located.finding.operands[0].at_fault == -0.5


def test_a_finite_model_has_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    use_model(monkeypatch, jnp.sqrt, calls=3)
    assert search(WORKLOAD, {}) == Located(None, 3)


def test_a_finding_survives_its_plain_form() -> None:
    finding = locate(planted, jnp.ones(2))
    assert finding is not None
    assert finding_from_dict(json.loads(json.dumps(finding.as_dict()))) == finding


def test_what_the_child_refuses_is_the_users_to_mend() -> None:
    cpus = tuple(os.sched_getaffinity(0))
    with pytest.raises(UserError, match="unknown model"):
        locate_in_child(WORKLOAD, {}, os.environ, cpus)


def test_the_doctor_prints_and_fails_on_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = known_answers.Answer("sums", False, "1 of 2 elements; at [0] 3, not 4")
    ill = doctor.Diagnosis("0.0", "", (wrong,), ())
    monkeypatch.setattr(doctor, "examine", lambda: ill)
    assert doctor_command.main([]) == 1
    assert "1 of 1 answers are wrong" in capsys.readouterr().out
    assert doctor_command.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)["answers"][0]["right"] is False


def test_locate_and_remedies_exclude_each_other() -> None:
    with pytest.raises(UserError, match="--locate and --remedies exclude each other"):
        guard_command.main(["--locate", "--remedies", "--size", "8"])


def test_remedies_are_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard_command.main(["--remedies", "--json", "--size", "8"]) == 0
    names = [remedy["name"] for remedy in json.loads(capsys.readouterr().out)]
    assert names[0] == "none"
    assert "guard" in names
