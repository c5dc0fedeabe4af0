"""The record's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from perfkit.records.schema import Record, read_record
from perfkit.records.stages import StageName

type MakeRecord = Callable[..., Record]


def test_utilisation_is_cpu_time_over_the_allowed_cpus_time(make_record: MakeRecord) -> None:
    record = make_record()
    # 2.5 s user and 0.5 s system in 2 s on 2 CPUs.
    assert record.steady[0].cpu_s == 3.0
    assert record.utilisation(record.steady[0]) == 0.75


def test_a_stage_is_found_by_its_name(make_record: MakeRecord) -> None:
    record = make_record()
    assert record.stage(StageName.STEADY) == record.stages[0]
    assert record.stage(StageName.COMPILE) is None


def test_a_record_with_an_unknown_field_is_no_record(make_record: MakeRecord) -> None:
    data = make_record().model_dump() | {"unknown": 1}
    with pytest.raises(ValidationError):
        read_record(data)


def test_a_record_of_version_1_is_read_as_one_without_observations(
    make_record: MakeRecord,
) -> None:
    data = make_record().model_dump() | {"schema_version": 1}
    del data["observations"]
    old = read_record(data)
    assert old.observations == {}
    assert old.schema_version == 3
    assert old.steady == make_record().steady
