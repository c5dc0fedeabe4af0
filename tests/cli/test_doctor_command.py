"""``perfkit doctor`` prints the diagnosis, and fails if an answer is wrong."""

from __future__ import annotations

import json

import pytest

from perfkit.cli.commands import doctor
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration

WRONG = Diagnosis("0.0", "", (Answer("sums", False, "1 of 2 elements; at [0] 3, not 4"),))
RIGHT = Diagnosis("0.0", "", (Answer("sums", True),))


def test_a_wrong_answer_is_printed_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([], examine=lambda: WRONG) == 1
    assert "1 of 1 answers are wrong" in capsys.readouterr().out
    assert doctor.main(["--json"], examine=lambda: WRONG) == 1
    assert json.loads(capsys.readouterr().out)["answers"][0]["right"] is False


def test_right_answers_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([], examine=lambda: RIGHT) == 0
    shown = capsys.readouterr().out
    assert "no fault of this version is known under these flags" in shown
    assert "all 1 answers are right" in shown


def test_knobs_are_examined_in_a_process_of_their_own() -> None:
    examined: list[Configuration] = []

    def examine_under(configuration: Configuration) -> Diagnosis:
        examined.append(configuration)
        return RIGHT

    arguments = ["--json", "--knob", "xla_cpu_max_isa=AVX"]
    assert doctor.main(arguments, lambda: WRONG, examine_under) == 0
    assert [one.as_dict() for one in examined] == [{"xla_cpu_max_isa": "AVX"}]


def test_noise_needs_two_pairs_of_processes() -> None:
    with pytest.raises(UserError, match="--pairs takes 2 or more, not 1"):
        doctor.main(["--noise", "--pairs", "1"])
