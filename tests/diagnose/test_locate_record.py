"""A trial that ended ``nonfinite`` is searched on request, as it was run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.diagnose.locate.record import find_record, locate_in_record, with_location
from perfkit.errors import UserError
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from tests.support.recording_search import RecordingSearch


def test_a_record_is_searched_under_its_configuration_and_guard(
    record: Record, search: RecordingSearch
) -> None:
    assert locate_in_record(record, search) is search.result
    ((workload, configuration, guard),) = search.calls
    assert workload.as_dict() == record.workload.model_dump()
    assert dict(configuration.overrides()) == {"precision": "bfloat16"}
    assert "--xla_cpu_max_isa=AVX" in configuration.environment()["XLA_FLAGS"]
    assert guard == "zero"


def test_the_location_is_added_to_the_record_and_written_to_its_folder(
    record: Record, search: RecordingSearch, tmp_path: Path
) -> None:
    (tmp_path / "trials" / record.id).mkdir(parents=True)
    located = with_location(record, tmp_path, search)
    assert located.reason.startswith("worst is x; the first nan arose in sqrt at model.py:7")
    assert located.reason.endswith("in call 1 of the compiled function, counted from 0")
    written = json.loads((tmp_path / located.artifacts["located.json"]).read_text())
    assert written["finding"]["origin"]["line"] == 7


def test_a_finite_trial_is_not_searched(
    record: Record, search: RecordingSearch, tmp_path: Path
) -> None:
    finite = record.model_copy(update={"outcome": Outcome.OK})
    assert with_location(finite, tmp_path, search) is finite
    assert search.calls == []


def test_a_record_whose_input_has_changed_is_refused(
    record: Record, search: RecordingSearch
) -> None:
    changed = record.workload.model_copy(update={"input_digest": "other", "digest": "other"})
    with pytest.raises(UserError, match="has changed since it was run"):
        locate_in_record(record.model_copy(update={"workload": changed}), search)


def test_a_record_is_found_by_its_id(record: Record, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no records in"):
        find_record(tmp_path, record.id)
    Store(tmp_path).append(record)
    assert find_record(tmp_path, record.id) == record
    with pytest.raises(UserError, match=f"the nearest is '{record.id}'"):
        find_record(tmp_path, record.id[:-1])
