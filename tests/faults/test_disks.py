"""A disk that is full, read-only, over its quota or gone: one sentence, and whole records only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.records.store import Store, read_records
from tests.support.faults.disks import fill, make_read_only, quota_variables, small_disk
from tests.support.faults.trials import shell_trial
from tests.support.records_factory import make_record

MEGABYTE = 1 << 20


def _whole_records(folder: Path) -> list[str]:
    """Ids of the records; a line that is no whole record would be a warning, and so an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [record.id for record in read_records(folder)]


def _append_until_full(store: Store) -> None:
    """Append records: the first ones may fit in the free rest of the file's last block."""
    for _ in range(100):
        store.append(make_record(identifier="second"))


def test_a_full_disk_is_one_sentence_and_leaves_whole_records(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", MEGABYTE) as disk:
        store = Store(disk)
        store.append(make_record(identifier="first"))
        fill(disk)
        with pytest.raises(UserError, match=r"trial second cannot be written to .*No space left"):
            _append_until_full(store)
        with pytest.raises(UserError, match="No space left"):
            shell_trial(disk, "exit 0").start()
        with pytest.raises(UserError, match=r"cannot be written \(No space left"):
            Store(disk)
        assert set(_whole_records(disk)) <= {"first", "second"}
        (disk / "filling").unlink()
        store.append(make_record(identifier="third"))
        assert {"first", "third"} <= set(_whole_records(disk))


def test_a_disk_that_becomes_read_only_is_one_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", MEGABYTE) as disk:
        store = Store(disk)
        store.append(make_record(identifier="first"))
        assert make_read_only(disk)
        with pytest.raises(UserError, match=r"trial second .*Read-only file system"):
            store.append(make_record(identifier="second"))
        with pytest.raises(UserError, match="Read-only file system"):
            shell_trial(disk, "exit 0").start()
        assert _whole_records(disk) == ["first"]


APPENDS = """
import sys
from pathlib import Path
from perfkit.errors import UserError
from perfkit.records.store import Store
from tests.support.records_factory import make_record
store = Store(Path(sys.argv[1]))
try:
    for number in range(10_000):
        store.append(make_record(identifier=str(number)))
        print(number, flush=True)
except UserError as error:
    print(error, file=sys.stderr)
"""


def test_a_quota_is_one_sentence_and_leaves_whole_records(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", APPENDS, str(store)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **quota_variables(tmp_path, 100_000)},
        capture_output=True,
        text=True,
        check=True,
    )
    kept = done.stdout.split()
    assert len(kept) > 10
    assert done.stderr.startswith(f"the record of trial {len(kept)} cannot be written to ")
    assert "Disk quota exceeded" in done.stderr
    assert sorted(_whole_records(store)) == sorted(kept)


def test_a_folder_that_was_deleted_is_not_made_again_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    store = Store(folder)
    store.append(make_record(identifier="first"))
    trial = shell_trial(folder, "exit 0")
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"results was deleted while perfkit ran"):
        trial.start()
    # Another process has made the folder again, without the records.
    folder.mkdir()
    with pytest.raises(UserError, match=r"was deleted while perfkit ran, so that the record"):
        store.append(make_record(identifier="second"))
    assert _whole_records(folder) == []
