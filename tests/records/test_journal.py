"""Journals of running trials: finished passes come back exactly once, whatever is killed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records.disturbances import DisturbedPass
from perfkit.records.journal import Journal, abandoned_records, journal_file
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store, read_records
from tests.records.conftest import MakeRecord


@pytest.fixture
def begun(make_record: MakeRecord) -> Record:
    """The record of a trial that has only begun."""
    update = {"stages": [], "outcome": Outcome.INTERRUPTED, "reason": "killed"}
    return make_record("a").model_copy(update=update)


def test_a_running_trial_has_no_record(tmp_path: Path, begun: Record) -> None:
    journal = Journal(tmp_path, begun)
    assert read_records(tmp_path) == []
    Store(tmp_path)
    assert journal_file(tmp_path, "a").exists()
    del journal


def test_the_passes_of_a_killed_writer_come_back_once(
    tmp_path: Path, begun: Record, make_record: MakeRecord
) -> None:
    (steady,) = make_record("a").stages
    journal = Journal(tmp_path, begun)
    journal.stage(steady)
    journal.stage(steady.model_copy(update={"wall_s": 99.0}))
    journal.disturbed(DisturbedPass(round=1, wall_s=99.0, reason="stopped"))
    journal.stage(steady.model_copy(update={"round": 1}))
    del journal
    (record,) = read_records(tmp_path)
    assert record.outcome is Outcome.INTERRUPTED
    assert [(stage.round, stage.wall_s) for stage in record.stages] == [(0, 2.0), (1, 2.0)]
    assert [dropped.wall_s for dropped in record.disturbed_passes] == [99.0]
    assert record.peak_rss_bytes == 1000
    # The next process that opens the store keeps the record.
    assert Store(tmp_path).records() == [record]
    assert not journal_file(tmp_path, "a").exists()
    assert Store(tmp_path).records() == [record]
    assert len(next(tmp_path.glob("records-*.jsonl")).read_text().splitlines()) == 1


def test_storing_the_record_removes_the_journal(
    tmp_path: Path, begun: Record, make_record: MakeRecord
) -> None:
    journal = Journal(tmp_path, begun)
    journal.ended(make_record("a"))
    Store(tmp_path).append(make_record("a"))
    assert not journal_file(tmp_path, "a").exists()
    assert read_records(tmp_path) == [make_record("a")]
    del journal


def test_a_record_stored_before_the_kill_counts_once(
    tmp_path: Path, begun: Record, make_record: MakeRecord
) -> None:
    Store(tmp_path).append(make_record("a"))
    # The process was killed after it wrote the record and before it removed the journal.
    Journal(tmp_path, begun)
    assert read_records(tmp_path) == [make_record("a")]
    assert Store(tmp_path).records() == [make_record("a")]
    assert not journal_file(tmp_path, "a").exists()


def test_a_record_that_never_reached_the_store_is_taken_from_the_journal(
    tmp_path: Path, begun: Record, make_record: MakeRecord
) -> None:
    Journal(tmp_path, begun).ended(make_record("a"))
    assert Store(tmp_path).records() == [make_record("a")]


@pytest.mark.parametrize(
    "rest",
    [
        b'{"stage": {"na',
        b"{}\n3\nnull\n",
        b'{"disturbed": 1}\n',
        b"\xc3",
        b"[" * 100_000 + b"\n",
        b'{"disturbed": {"round": 0, "wall_s": 1e999, "reason": "stopped"}}\n',
        b'{"disturbed": {"round": 0, "wall_s": 9.0, "reason": "no pass before it"}}\n',
    ],
)
def test_damaged_lines_of_a_journal_are_skipped(tmp_path: Path, begun: Record, rest: bytes) -> None:
    Journal(tmp_path, begun)
    with journal_file(tmp_path, "a").open("ab") as stream:
        stream.write(rest)
    assert Store(tmp_path).records() == [begun]


def test_a_journal_that_is_nested_too_deeply_leaves_other_records_readable(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    journal_file(tmp_path, "deep").write_text("[" * 100_000)
    Store(tmp_path).append(make_record("a"))
    assert read_records(tmp_path) == [make_record("a")]


def test_an_impossible_dropped_pass_does_not_remove_a_stage(
    tmp_path: Path, begun: Record, make_record: MakeRecord
) -> None:
    (steady,) = make_record("a").stages
    Journal(tmp_path, begun).stage(steady)
    with journal_file(tmp_path, "a").open("a") as stream:
        stream.write('{"disturbed": {"round": 0, "wall_s": 1e999, "reason": "stopped"}}\n')
    (record,) = read_records(tmp_path)
    assert record.stages == [steady]
    assert record.disturbed_passes == []


def test_an_empty_journal_is_left_alone(tmp_path: Path) -> None:
    journal_file(tmp_path, "a").write_text("")
    assert Store(tmp_path).records() == []
    assert journal_file(tmp_path, "a").exists()


def test_a_folder_that_cannot_be_written_makes_no_error(tmp_path: Path, begun: Record) -> None:
    journal = Journal(tmp_path / "gone", begun)
    journal.ended(begun)
    assert not (tmp_path / "gone").exists()


ADOPT = "import sys; from pathlib import Path; from perfkit.records.store import Store\n"
ADOPT += "sys.stdin.readline(); Store(Path(sys.argv[1]))"


def test_only_one_of_several_processes_takes_a_journal(tmp_path: Path, begun: Record) -> None:
    for number in range(20):
        Journal(tmp_path, begun.model_copy(update={"id": f"trial-{number}"}))
    command = [sys.executable, "-c", ADOPT, str(tmp_path)]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
    for other in others:
        other.communicate(b"\n")
        assert other.returncode == 0
    lines = [line for path in tmp_path.glob("records-*") for line in path.read_text().splitlines()]
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(
        f"trial-{number}" for number in range(20)
    )


def test_without_locks_a_journal_is_abandoned_when_its_process_is_gone(
    tmp_path: Path, begun: Record
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    def abandoned() -> list[Record]:
        return list(abandoned_records(tmp_path, (), refuse))

    journal = Journal(tmp_path, begun, refuse)
    assert abandoned() == []
    path = journal_file(tmp_path, "a")
    gone = path.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {2**30}')
    path.write_text(gone)
    assert abandoned() == [begun]
    # Whether a process of another host lives is unknown.
    path.write_text(gone.replace('"host": "', '"host": "another-'))
    assert abandoned() == []
    del journal
