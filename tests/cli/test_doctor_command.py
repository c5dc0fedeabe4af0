"""``perfkit doctor`` prints what it found and a verdict, and fails if an answer is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from perfkit.cli.commands.doctor import doctor
from perfkit.diagnose.checkup import Checkup
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.environment_found import Fact
from perfkit.diagnose.examiner import Setup
from perfkit.diagnose.mending import Candidate, Mending, Remedies
from perfkit.diagnose.models_found import ModelFound
from perfkit.errors import UserError

SUMS = Answer("sums", False, "1 of 2 elements; at [0] 3, not 4", "sums of integers")
WRONG = Checkup(
    Diagnosis("0.10.2", "", (SUMS, Answer("arctan", False))),
    (Fact("transparent huge pages", "never", "switch them on"),),
    (ModelFound("af3", "no module haiku"),),
    Remedies((Mending(Candidate("--xla_y=", "nothing is fused"), ("sums",)),)),
)
RIGHT = Checkup(Diagnosis("0.0", "", (Answer("sums", True),)), models=(ModelFound("af3"),))


class CheckUp:
    """Answers with a result, and keeps what it was called with."""

    def __init__(self, result: Checkup) -> None:
        self._result = result
        self.setups: list[Setup] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, setup: Setup, **options: Any) -> Checkup:
        self.setups.append(setup)
        self.options.append(options)
        return self._result


def test_wrong_answers_are_printed_with_what_mends_them_and_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert doctor.main([], CheckUp(WRONG)) == 1
    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    assert ["transparent huge pages", "never", "switch them on"] in rows
    assert ["model af3", "does not start", "no module haiku"] in rows
    assert ["sums of integers", "WRONG", "1 of 2 elements; at [0] 3, not 4"] in rows
    assert ["sums", "--xla_y=", "nothing is fused"] in rows
    assert ["arctan", "none of the flags that were tried", ""] in rows
    assert shown.splitlines()[-1] == WRONG.verdict


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--json"], CheckUp(WRONG)) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["answers"][0]["right"] is False
    assert found["environment"][0]["advice"] == "switch them on"
    assert found["models"] == [{"name": "af3", "refusal": "no module haiku"}]
    assert found["remedies"]["tried"][0]["mends"] == ["sums"]
    assert found["verdict"] == WRONG.verdict
    assert found["noise"] is None


def test_right_answers_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([], CheckUp(RIGHT)) == 0
    shown = capsys.readouterr().out
    assert "no fault of this version is known under these flags" in shown
    assert shown.splitlines()[-1].startswith("verdict: fit to run af3")


@pytest.mark.parametrize(
    ("arguments", "flags", "quick"),
    [
        (["--knob", "xla_cpu_max_isa=AVX"], "--xla_cpu_max_isa=AVX", False),
        (["--quick"], "", True),
    ],
)
def test_knobs_and_quick_reach_the_examination(
    arguments: Sequence[str],
    flags: str,
    quick: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    check_up = CheckUp(RIGHT)
    assert doctor.main([*arguments, "--json"], check_up) == 0
    assert [setup.xla_flags for setup in check_up.setups] == [flags]
    assert check_up.options[0]["quick"] is quick


def test_another_python_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes the Python of an environment"):
        doctor.main(["--python", str(tmp_path / "python")], CheckUp(RIGHT))
    python = tmp_path / "python"
    python.touch()
    check_up = CheckUp(RIGHT)
    assert doctor.main(["--python", str(python), "--json"], check_up) == 0
    assert check_up.options[0]["others"] == [python]


def test_noise_needs_two_pairs_of_processes() -> None:
    with pytest.raises(UserError, match="--pairs takes 2 or more, not 1"):
        doctor.main(["--noise", "--pairs", "1"])
