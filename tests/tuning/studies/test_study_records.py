"""The records of a study are read once, and what is kept since is there too."""

from __future__ import annotations

from pathlib import Path

from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.tuning.studies.study_records import StudyRecords
from tests.support.records_factory import make_record


class CountingStore(Store):
    """Counts how often it is read."""

    reads = 0

    def records(self) -> list[Record]:
        self.reads += 1
        return super().records()


def _record(name: str, study: str = "mine") -> Record:
    return make_record().model_copy(update={"id": name, "study": study})


def _names(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def test_the_store_is_read_once(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    store.append(_record("first"))
    store.append(_record("other", study="another"))
    kept = StudyRecords(store, "mine")
    assert _names(kept.all()) == ["first"]
    kept.keep(_record("second"))
    assert _names(kept.all()) == ["first", "second"]
    assert store.reads == 1
    assert _names(Store(tmp_path).records()) == ["first", "other", "second"]


def test_what_others_store_is_seen_when_the_store_is_read_again(tmp_path: Path) -> None:
    kept = StudyRecords(CountingStore(tmp_path), "mine")
    assert kept.all() == []
    Store(tmp_path).append(_record("theirs"))
    assert kept.all() == []
    kept.read_again()
    assert _names(kept.all()) == ["theirs"]


def test_a_list_that_was_returned_is_the_callers_own(tmp_path: Path) -> None:
    kept = StudyRecords(CountingStore(tmp_path), "mine")
    kept.keep(_record("first"))
    kept.all().clear()
    assert _names(kept.all()) == ["first"]
