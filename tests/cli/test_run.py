"""``perfkit run`` ends with an exit code that says who can mend what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cli.commands import run
from perfkit.cli.main import main
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records
from perfkit.trial.observed import ObservedTrial
from tests.support.records_factory import make_record

FULL = "the prediction cannot be written to out (No space left on device)"


@pytest.mark.parametrize(("not_written", "code"), [(True, 2), (False, 1)])
def test_a_prediction_that_cannot_be_written_is_for_the_user_to_mend(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    not_written: bool,
    code: int,
) -> None:
    pytest.importorskip("h5netcdf", reason="forecasts need the gencast extra")

    def failed(trial: ObservedTrial, passes: int) -> Record:
        trial.not_written = not_written
        return make_record().model_copy(update={"outcome": Outcome.CRASHED, "reason": FULL})

    monkeypatch.setattr(run, "run_trial", failed)
    words = ["--model", "gencast", "--resolution", "10", "--mesh", "1", "--out", str(tmp_path)]
    assert main(["run", *words]) == code
    assert capsys.readouterr().err == (f"perfkit: {FULL}\n" if not_written else "")
    (kept,) = read_records(tmp_path)
    assert kept.reason == FULL
