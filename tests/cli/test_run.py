"""The exit code of ``perfkit run`` says whether the user can mend what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.results import RunResult
from perfkit.cli.commands import run
from perfkit.errors import NotWrittenError
from perfkit.records.schema import Outcome, Record
from tests.support.records_factory import make_record

FULL = "the prediction cannot be written to out (No space left on device)"
CRASHED = make_record(outcome=Outcome.CRASHED, reason=FULL)


def test_a_prediction_that_cannot_be_written_is_an_error_that_the_user_can_mend() -> None:
    with pytest.raises(NotWrittenError, match=r"No space left on device"):
        run.main([], lambda **given: [RunResult(CRASHED, Path("out"), not_written=True)])


@pytest.mark.parametrize(("record", "code"), [(CRASHED, 1), (make_record(), 0)])
def test_the_outcome_of_the_trial_is_the_exit_code(record: Record, code: int) -> None:
    assert run.main([], lambda **given: [RunResult(record, Path("out"))]) == code


def test_an_interrupted_run_ends_as_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        run.main([], lambda **given: [RunResult(make_record(), Path("out"), interrupted=True)])


def test_a_failed_prediction_neither_ends_the_others_nor_is_forgotten(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = [RunResult(record, Path("out")) for record in (CRASHED, make_record())]
    assert run.main([], lambda **given: results) == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"1 of 2 predictions failed: {CRASHED.workload.name}"
    assert printed.count("outcome ") == 2


def test_every_argument_reaches_the_function() -> None:
    given: dict[str, object] = {}

    def keep(**arguments: object) -> list[RunResult]:
        given.update(arguments)
        return [RunResult(make_record(), Path("out"))]

    words = (
        "--size 8 --steps 2 --knob cpus=1 --guard zero --locate --observe cpu --passes 3 "
        "--num-seeds 2 --max-template-date 2020-01-31 --no-resolve-msa-overlaps "
        "--save-embeddings --save-distogram=true --save-terms-of-use false --force-output-dir"
    )
    assert run.main([*words.split(), "--out", "here", "--time-limit", "5m"], keep) == 0
    given.pop("progress")
    assert given == {
        "model": "af3",
        "fidelity": None,
        "time_limit": "5m",
        "memory_limit": None,
        "force": False,
        "size": 8,
        "num_seeds": 2,
        "max_template_date": "2020-01-31",
        "resolve_msa_overlaps": False,
        "save_embeddings": True,
        "save_distogram": True,
        "save_terms_of_use": False,
        "steps": 2,
        "knobs": {"cpus": "1"},
        "preset": None,
        "guard": "zero",
        "locate": True,
        "observe": ("cpu",),
        "passes": 3,
        "compile_cache": None,
        "out": Path("here"),
        "force_output_dir": True,
    }
