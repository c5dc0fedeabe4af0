"""The store: appended records come back, whatever happens to a writer."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import warnings
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.records.schema import SCHEMA_VERSION
from perfkit.records.store import Store, ensure_writable, read_records
from tests.records.conftest import MakeRecord


def _only_file(folder: Path) -> Path:
    (path,) = folder.glob("records-*.jsonl")
    return path


def test_records_come_back_unchanged(tmp_path: Path, make_record: MakeRecord) -> None:
    store = Store(tmp_path / "new" / "folder")
    first, second = make_record("a"), make_record("b", "2026-01-02T00:00:00+00:00")
    store.append(first)
    store.append(second)
    assert store.records() == [first, second]
    assert len(_only_file(store.folder).read_text().splitlines()) == 2


def test_a_record_may_hold_any_text(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record(name='a\u2028b\x85c\x1cd\n"e" é')
    store = Store(tmp_path)
    store.append(record)
    assert store.records() == [record]


@pytest.mark.parametrize("torn", [b'{"id": "b", "crea', b'{"id": "\xc3', b"3\n", b"null\n", b"{}"])
def test_a_torn_last_line_is_skipped_with_a_warning(
    tmp_path: Path, make_record: MakeRecord, torn: bytes
) -> None:
    store = Store(tmp_path)
    store.append(make_record())
    with _only_file(tmp_path).open("ab") as stream:
        stream.write(torn)
    with pytest.warns(UserWarning, match="line 2: not a whole record, skipped"):
        assert store.records() == [make_record()]


def test_a_writer_of_the_same_name_does_not_lose_its_record_to_a_torn_line(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    store = Store(tmp_path)
    store.append(make_record("a"))
    with _only_file(tmp_path).open("ab") as stream:
        stream.write(b'{"id": "tor')
    Store(tmp_path).append(make_record("b"))
    with pytest.warns(UserWarning, match="line 2"):
        assert [record.id for record in read_records(tmp_path)] == ["a", "b"]


def test_a_full_disk_loses_only_the_record_that_does_not_fit(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    store = Store(tmp_path)
    store.append(make_record("a"))
    room = _only_file(tmp_path).stat().st_size + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(UserError, match=r"the record of trial b cannot be written to .*large"):
            store.append(make_record("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.append(make_record("c"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(record.id for record in store.records()) == ["a", "c"]


def test_a_full_device_is_one_sentence(tmp_path: Path, make_record: MakeRecord) -> None:
    store = Store(tmp_path)
    name = f"records-{socket.gethostname()}-{os.getpid()}.jsonl"
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device"):
        store.append(make_record("a"))


def test_a_deleted_folder_is_one_sentence(tmp_path: Path, make_record: MakeRecord) -> None:
    store = Store(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(UserError, match=r"cannot be written to .*No such file or directory"):
        store.append(make_record("a"))


def test_a_newer_record_among_others_is_skipped(tmp_path: Path, make_record: MakeRecord) -> None:
    Store(tmp_path).append(make_record("a"))
    newer = json.loads(make_record("b").model_dump_json()) | {"schema_version": SCHEMA_VERSION + 1}
    (tmp_path / "records-host-1.jsonl").write_text(json.dumps(newer))
    with pytest.warns(UserWarning, match="use a newer perfkit"):
        assert [record.id for record in read_records(tmp_path)] == ["a"]


def test_records_of_several_writers_are_merged_in_order_of_time(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    moments = {"b": "2026-01-02", "a": "2026-01-01", "c": "2026-01-03"}
    for name, moment in moments.items():
        text = make_record(name, f"{moment}T00:00:00+00:00").model_dump_json()
        (tmp_path / f"records-host{name}-1.jsonl").write_text(text + "\n\n")
    (tmp_path / "other.jsonl").write_text("not ours")
    assert [record.id for record in read_records(tmp_path)] == ["a", "b", "c"]


def test_a_newer_schema_is_refused_in_a_sentence(tmp_path: Path, make_record: MakeRecord) -> None:
    data = json.loads(make_record().model_dump_json())
    data |= {"schema_version": SCHEMA_VERSION + 1, "field_of_the_newer_version": 1}
    (tmp_path / "records-host-1.jsonl").write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"schema version {SCHEMA_VERSION + 1}, this perfkit reads"):
        read_records(tmp_path)


def test_an_empty_folder_has_no_records_and_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_records(tmp_path) == []
    with pytest.raises(UserError, match="there is no folder"):
        read_records(tmp_path / "none")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/perfkit")):
        with pytest.raises(UserError, match=f"the output folder {folder} cannot be written"):
            Store(folder)


def test_the_trial_write_leaves_no_file(tmp_path: Path) -> None:
    ensure_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
