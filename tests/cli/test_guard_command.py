"""``perfkit guard`` locates bad values and compares fixes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.cli.commands import guard
from perfkit.diagnose.locate.workload import SearchResult
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.records.schema import Outcome, WorkloadRecord
from perfkit.records.store import Store
from tests.support.recording_search import RecordingSearch, found_in_call
from tests.support.records_factory import make_record

SMALL = ["--model", "gencast", "--resolution", "10", "--mesh", "1"]


def test_locate_prints_the_line_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main(["--locate", *SMALL], found_in_call(0)) == 1
    assert "arose in sqrt at model.py:7 (step)" in capsys.readouterr().out


def test_locate_succeeds_if_the_prediction_is_finite(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main(["--locate", "--json", *SMALL], RecordingSearch(SearchResult(None, 3))) == 0
    assert json.loads(capsys.readouterr().out) == {"finding": None, "call": 3}


def test_a_record_is_searched_by_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workload = get_model("gencast").workload({"resolution": 10.0, "mesh": 1}, {})
    plain = WorkloadRecord(**workload.as_dict())
    record = make_record({}, workload=plain, outcome=Outcome.NONFINITE)
    Store(tmp_path).append(record)
    command = ["--locate", "--out", str(tmp_path), "--record"]
    assert guard.main([*command, record.id], found_in_call(0)) == 1
    assert "arose in sqrt at model.py:7 (step)" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"the nearest is '{record.id}'"):
        guard.main([*command, record.id[:-1]], found_in_call(0))


@pytest.mark.parametrize("words", [["--record", "x"], ["--record", "x", "--locate"]])
def test_a_record_needs_its_folder(words: list[str]) -> None:
    with pytest.raises(UserError, match="--record goes with --locate and --out"):
        guard.main(words)


def test_locate_and_remedies_exclude_each_other() -> None:
    with pytest.raises(UserError, match="--locate and --remedies exclude each other"):
        guard.main(["--locate", "--remedies", "--size", "8"])


def test_remedies_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main(["--remedies", "--json", "--size", "8"]) == 0
    names = [remedy["name"] for remedy in json.loads(capsys.readouterr().out)]
    assert names[0] == "none"
    assert "guard" in names
