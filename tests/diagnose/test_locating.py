"""A trial that ended ``nonfinite`` is searched as it was run, on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.cli.commands import guard as guard_command
from perfkit.diagnose import locating
from perfkit.diagnose.finding import Finding
from perfkit.diagnose.locate_model import Located
from perfkit.errors import UserError
from perfkit.guard.analysis.origin import Origin
from perfkit.models import get_model
from perfkit.records.findings import GuardRecord
from perfkit.records.schema import Outcome, Record, WorkloadRecord
from perfkit.records.store import Store
from tests.support.records_factory import make_record

FOUND = Located(Finding("nan", "found", "sqrt", Origin("model.py", 7, "step", "denoiser")), 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the search was asked for, instead of a search."""
    calls: list[Any] = []

    def search(*arguments: Any) -> Located:
        calls.append(arguments)
        return FOUND

    monkeypatch.setattr(locating, "locate_in_child", search)
    return calls


@pytest.fixture
def record() -> Record:
    workload = get_model("gencast").workload({"resolution": 10.0, "mesh": 1}, {"steps": 3})
    made = make_record(
        {"xla_cpu_max_isa": "AVX", "precision": "bfloat16"},
        workload=WorkloadRecord(**workload.as_dict()),
        outcome=Outcome.NONFINITE,
        reason="worst is x",
    )
    return made.model_copy(update={"guard": GuardRecord(mode="zero", lifted=0, zeroed=0)})


def test_a_record_is_searched_as_it_was_configured_and_guarded(
    record: Record, asked: list[Any]
) -> None:
    assert locating.locate_again(record) is FOUND
    ((workload, overrides, environment, _, guard),) = asked
    assert workload == record.workload.model_dump()
    assert dict(overrides) == {"precision": "bfloat16"}
    assert "--xla_cpu_max_isa=AVX" in environment["XLA_FLAGS"]
    assert guard == "zero"


def test_what_is_found_stands_in_the_record_and_beside_it(
    record: Record, asked: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "trials" / record.id).mkdir(parents=True)
    told = locating.with_location(record, tmp_path)
    assert told.reason.startswith("worst is x; the first nan arose in sqrt at model.py:7")
    assert told.reason.endswith("in call 1 of the compiled function, counted from 0")
    left = json.loads((tmp_path / told.artifacts["located.json"]).read_text())
    assert left["finding"]["origin"]["line"] == 7


def test_a_finite_trial_is_not_searched(record: Record, asked: list[Any], tmp_path: Path) -> None:
    fine = record.model_copy(update={"outcome": Outcome.OK})
    assert locating.with_location(fine, tmp_path) is fine
    assert asked == []


def test_a_changed_input_is_refused(record: Record, asked: list[Any]) -> None:
    changed = record.workload.model_copy(update={"input_digest": "other", "digest": "other"})
    with pytest.raises(UserError, match="has changed since it was run"):
        locating.locate_again(record.model_copy(update={"workload": changed}))


def test_the_command_searches_a_record_by_its_id(
    record: Record, asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(tmp_path).append(record)
    command = ["--locate", "--out", str(tmp_path), "--record"]
    assert guard_command.main([*command, record.id]) == 1
    assert "arose in sqrt at model.py:7 (step)" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"the nearest is '{record.id}'"):
        guard_command.main([*command, record.id[:-1]])


@pytest.mark.parametrize("words", [["--record", "x"], ["--record", "x", "--locate"]])
def test_a_record_needs_its_folder(words: list[str]) -> None:
    with pytest.raises(UserError, match="--record goes with --locate and --out"):
        guard_command.main(words)
