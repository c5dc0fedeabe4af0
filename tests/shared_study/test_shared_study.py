"""Workers that share a study: every unit leaves its records once, whatever happens to workers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from perfkit.cluster.study_status import UnitState, study_status
from perfkit.errors import UserError
from perfkit.records.journal import Journal
from perfkit.records.schema import Record
from perfkit.records.store import read_folder
from perfkit.shared_study import exclusive
from perfkit.shared_study.leases import Silence, Worker
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import Listing, SharedStudy
from perfkit.shared_study.unit_store import UnitStore
from perfkit.shared_study.worker import (
    CANCELLED,
    FINISHED,
    REFUSED,
    IsHeld,
    this_worker,
    work,
)
from tests.support.toy_worker import ToyExecutor, toy_command, toy_plan, toy_record, toy_study


class Clock:
    """A clock that only waiting advances."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds


def _worker(name: str) -> Worker:
    return Worker(name=name, host=f"host-{name}", pid=1)


def _records_by_unit(study: SharedStudy) -> Counter[str]:
    return Counter(record.id.rpartition("-")[0] for record in study.records())


@contextmanager
def _started(folder: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    workers = [_start(folder) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(toy_command(folder), stdout=subprocess.PIPE, text=True)


def test_killed_workers_lose_no_unit_and_repeat_none_that_is_finished(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.1] * 20, lease_s=1.5))
    chance = random.Random(20)
    with _started(tmp_path, 3) as workers:
        for _ in range(6):
            time.sleep(chance.uniform(0.1, 0.4))
            victim = chance.randrange(len(workers))
            workers[victim].send_signal(signal.SIGKILL)
            workers[victim].wait()
            workers[victim] = _start(tmp_path)
        for worker in workers:
            assert worker.wait(timeout=60) == 0
    assert _records_by_unit(study) == Counter(f"unit-{number}" for number in range(20))
    # Only a worker that was killed during a unit makes another attempt necessary.
    attempts = len((tmp_path / "begun").read_text().splitlines())
    assert 20 <= attempts <= 26
    assert study.open_units() == []


def test_a_suspended_worker_cannot_add_records_to_a_unit_that_was_taken_over(
    tmp_path: Path,
) -> None:
    study = toy_study(tmp_path, toy_plan([1.0], lease_s=0.6))
    with _started(tmp_path, 1) as (first,):
        deadline_s = time.monotonic() + 30
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        with _started(tmp_path, 1) as (second,):
            assert second.wait(timeout=60) == 0
        first.send_signal(signal.SIGCONT)
        output, _ = first.communicate(timeout=60)
    assert "dropped, as another worker took it over" in output
    assert _records_by_unit(study) == Counter(["unit-0"])
    (record,) = study.records()
    assert record.id == f"unit-0-{second.pid}"


def test_a_worker_that_is_asked_to_end_gives_its_unit_back_at_once(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([30.0], lease_s=1000.0))
    with _started(tmp_path, 1) as (worker,):
        deadline_s = time.monotonic() + 30
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        worker.send_signal(signal.SIGUSR2)
        worker.wait(timeout=30)
    (unit,) = study.open_units()
    assert study.leases.read(unit.key, 1).released == "ended by a signal"
    assert study.claim(unit, _worker("b"), Silence(lambda: 0.0)) is not None


def test_a_unit_is_taken_over_once_its_lease_has_not_changed_for_long_enough(
    tmp_path: Path,
) -> None:
    study = toy_study(tmp_path, toy_plan([0.0], lease_s=10.0))
    (unit,) = study.plan.units
    clock = Clock()
    silence = Silence(clock.now_s)
    first = study.claim(unit, _worker("a"), silence)
    assert first is not None
    assert study.claim(unit, _worker("b"), silence) is None
    clock.time_s = 9.0
    first.lease.beat()
    assert study.claim(unit, _worker("b"), silence) is None
    clock.time_s = 18.0
    assert study.claim(unit, _worker("b"), silence) is None
    clock.time_s = 20.0
    second = study.claim(unit, _worker("b"), silence)
    assert second is not None
    assert first.lease.is_lost()
    assert not second.lease.is_lost()
    assert not study.commit(first, [toy_record("a", study)])
    assert study.commit(second, [toy_record("b", study)])
    assert [record.id for record in study.records()] == ["b"]


def test_one_of_two_workers_that_take_over_at_once_gets_the_unit(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0]))
    (unit,) = study.plan.units
    assert study.leases.take(unit.key, 1, _worker("a")) is not None
    assert study.leases.take(unit.key, 2, _worker("b")) is not None
    assert study.leases.take(unit.key, 2, _worker("c")) is None
    holder = study.leases.read(unit.key, 2).worker
    assert holder is not None
    assert holder.name == "b"


def test_a_unit_that_ends_its_workers_is_given_up(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0], lease_s=10.0, most_lost=2))
    (unit,) = study.plan.units
    clock = Clock()
    silence = Silence(clock.now_s)
    for name in "ab":
        assert study.claim(unit, _worker(name), silence) is not None
        assert study.claim(unit, _worker("c"), silence) is None
        clock.time_s += 11.0
    assert study.claim(unit, _worker("c"), silence) is None
    reason = "given up after 2 attempts; the last one: the worker on host-b was lost during it"
    assert study.given_up() == {unit.key: reason}
    assert work(study, ToyExecutor(study), _worker("c"), print, clock) == FINISHED


class Refusing(ToyExecutor):
    """Cannot run the first unit here."""

    def execute(self, unit: Unit) -> Sequence[Record]:
        if unit.label.startswith("unit-0"):
            raise UserError("too little memory")
        return super().execute(unit)


def test_a_unit_that_cannot_be_run_on_a_node_is_left_to_others(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0, 0.0]))
    said: list[str] = []
    assert work(study, Refusing(study), _worker("a"), said.append, Clock()) == REFUSED
    assert "unit-0 0.0: too little memory" in said
    (unit,) = study.open_units()
    assert study.leases.read(unit.key, 1).released == "failed: too little memory"
    assert work(study, ToyExecutor(study), _worker("b"), said.append, Clock()) == FINISHED
    assert _records_by_unit(study) == Counter(["unit-0", "unit-1"])
    assert study.notes.workers() == [(_worker("a"), REFUSED), (_worker("b"), FINISHED)]


class Preparing(ToyExecutor):
    """Needs another unit to be finished first."""

    needed = Unit(key="0123456789ab", label="reference 0.0")

    def prerequisite(self, unit: Unit) -> Unit | None:
        return self.needed


def test_what_a_unit_needs_is_run_first_and_once(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0, 0.0]))
    work(study, Preparing(study), _worker("a"), print, Clock())
    begun = [line.split()[0] for line in (tmp_path / "begun").read_text().splitlines()]
    assert begun == ["reference", "unit-0", "unit-1"]


def test_a_cancelled_study_begins_no_unit_until_it_is_resumed(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0]))
    study.cancel()
    assert work(study, ToyExecutor(study), _worker("a"), print, Clock()) == CANCELLED
    assert len(study.open_units()) == 1
    study.resume()
    assert work(study, ToyExecutor(study), _worker("a"), print, Clock()) == FINISHED


def test_the_journals_of_a_lost_worker_leave_no_second_record(tmp_path: Path) -> None:
    """The journal of its trial would otherwise become an interrupted record of the unit."""
    study = toy_study(tmp_path, toy_plan([0.0], lease_s=10.0))
    (unit,) = study.plan.units
    clock = Clock()
    silence = Silence(clock.now_s)
    lost, living = _worker("a"), Worker("other", "other-host", 1)
    for worker in (lost, living):
        record = toy_record(worker.name, study).model_dump(mode="json")
        line = {"writer": {"host": worker.host, "pid": worker.pid}, "record": record}
        (tmp_path / f"under-way-{worker.name}.jsonl").write_text(json.dumps(line) + "\n")
    study.claim(unit, lost, silence)
    study.claim(unit, _worker("b"), silence)
    clock.time_s = 11.0
    claim = study.claim(unit, _worker("b"), silence)
    assert claim is not None
    assert study.commit(claim, [toy_record("b", study)])
    assert {path.name for path in tmp_path.glob("under-way-*")} == {"under-way-other.jsonl"}


class Journaling(ToyExecutor):
    """Is interrupted during a trial, which has a journal."""

    def execute(self, unit: Unit) -> Sequence[Record]:
        Journal(self.study.folder, toy_record("a", self.study))
        raise KeyboardInterrupt


def test_an_interrupted_unit_leaves_no_record(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0]))
    with pytest.raises(KeyboardInterrupt):
        work(study, Journaling(study), this_worker(), print, Clock())
    assert read_folder(tmp_path).records == ()
    assert study.claim(study.plan.units[0], _worker("b"), Silence(lambda: 0.0)) is not None


def test_the_records_of_a_unit_are_those_of_a_store(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0]))
    claim = study.claim(study.plan.units[0], _worker("a"), Silence(lambda: 0.0))
    assert claim is not None
    store = UnitStore(tmp_path)
    store.append(toy_record("control", study))
    store.append(toy_record("candidate", study))
    assert read_folder(tmp_path).records == ()
    study.commit(claim, store.records())
    assert {record.id for record in read_folder(tmp_path).records} == {"control", "candidate"}


def test_a_file_is_created_once_without_hard_links_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert exclusive.create(tmp_path / "a", b"1")
    assert not exclusive.create(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert exclusive.names_in(tmp_path) == ["a"]


class Timed(ToyExecutor):
    """Takes a minute of its clock for each unit."""

    def __init__(self, study: SharedStudy, clock: Clock) -> None:
        super().__init__(study)
        self.clock = clock

    def execute(self, unit: Unit) -> Sequence[Record]:
        self.clock.time_s += 60.0
        return super().execute(unit)


def test_a_worker_notes_how_long_it_has_been_at_work(tmp_path: Path) -> None:
    study, clock = toy_study(tmp_path, toy_plan([0.0] * 3)), Clock()
    assert work(study, Timed(study, clock), _worker("a"), print, clock) == FINISHED
    assert SharedStudy(tmp_path).notes.spent_s() == pytest.approx(180.0)


class Listed(SharedStudy):
    """Counts how often its folders are listed."""

    listings = 0

    def listing(self) -> Listing:
        self.listings += 1
        return super().listing()


def test_folders_are_not_listed_for_each_unit_that_others_hold(tmp_path: Path) -> None:
    """20 units are held, and the last one is free: it takes a listing to choose, one to check."""
    toy_study(tmp_path, toy_plan([0.0] * 21, lease_s=1000.0))
    study, clock = Listed(tmp_path), Clock()
    for unit in study.plan.units[:20]:
        assert study.leases.take(unit.key, 1, _worker("other")) is not None

    class Once(ToyExecutor):
        def execute(self, unit: Unit) -> Sequence[Record]:
            self.study.cancel()
            return super().execute(unit)

    assert work(study, Once(study), _worker("a"), print, clock) == CANCELLED
    assert study.finished() == {study.plan.units[20].key}
    assert study.listings == 2


class Growing(ToyExecutor):
    """Finds two units as it goes; the unit of the plan comes last."""

    found = tuple(
        Unit(key=f"00000000000{number}", label=f"found-{number} 0.0", detail=number)
        for number in range(2)
    )

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        units = [unit for unit in self.found if unit.key not in listing.closed]
        return units or self.study.open_units(listing)


def test_units_that_workers_find_are_run_and_shown_before_those_of_the_plan(
    tmp_path: Path,
) -> None:
    plan = toy_plan([0.0]).model_copy(update={"grows": True})
    study = toy_study(tmp_path, plan)
    assert work(study, Growing(study), _worker("a"), print, Clock()) == FINISHED
    begun = [line.split()[0] for line in (tmp_path / "begun").read_text().splitlines()]
    assert begun == ["found-0", "found-1", "unit-0"]
    assert SharedStudy(tmp_path).found_units() == list(Growing.found)
    shown = study_status(study, []).units
    assert [(unit.label.split()[0], unit.state) for unit in shown] == [
        ("found-0", UnitState.DONE),
        ("found-1", UnitState.DONE),
        ("unit-0", UnitState.DONE),
    ]
