"""The record: its arithmetic, and what is accepted as a record."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from perfkit.records.roles import Role
from perfkit.records.stages import StageName
from perfkit.records.upgrades import read_record
from tests.records.conftest import MakeRecord


def test_utilisation_is_cpu_time_over_the_time_of_the_allowed_cpus(make_record: MakeRecord) -> None:
    record = make_record()
    # 2.5 s user and 0.5 s system in 2 s on 2 CPUs.
    assert record.steady[0].cpu_s == 3.0
    assert record.utilisation(record.steady[0]) == 0.75


def test_a_stage_is_found_by_its_name(make_record: MakeRecord) -> None:
    record = make_record()
    assert record.stage(StageName.STEADY) == record.stages[0]
    assert record.stage(StageName.COMPILE) is None


def test_an_unknown_field_is_refused(make_record: MakeRecord) -> None:
    data = make_record().model_dump() | {"unknown": 1}
    with pytest.raises(ValidationError):
        read_record(data)


def test_a_record_of_version_1_has_no_observations(
    make_record: MakeRecord,
) -> None:
    data = make_record().model_dump() | {"schema_version": 1}
    del data["observations"]
    old = read_record(data)
    assert old.observations == {}
    assert old.schema_version == 6
    assert old.steady == make_record().steady


def test_a_role_is_stored_as_its_text_and_read_as_a_role(make_record: MakeRecord) -> None:
    data = make_record().model_dump(mode="json") | {"role": "held_out"}
    record = read_record(data)
    assert record.role is Role.HELD_OUT
    assert record.model_dump(mode="json") == data


def test_an_unknown_role_is_refused(make_record: MakeRecord) -> None:
    with pytest.raises(ValidationError, match="role"):
        read_record(make_record().model_dump() | {"role": "unknown"})
