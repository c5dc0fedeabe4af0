"""Sessions on replayed trials: which trials live, which are started again, which rounds pair up."""

from __future__ import annotations

import math

import pytest

from benchmarks.recorded import RecordedConfiguration
from benchmarks.replayed import ReplayedTrial
from perfkit.errors import NotWrittenError
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.studies.session import Session, Start
from tests.support.replay import MODEL, RECORDED, Listener, WatchedRunner, disagreeing, recorded

CATALOGUE = Catalogue(MODEL.knobs)
NETWORK = CATALOGUE.configuration({"precision": "bfloat16_network"})
ALL = CATALOGUE.configuration({"precision": "bfloat16"})


def _session(runner: WatchedRunner, kept: list[Record], room: int) -> Session:
    """A session with memory for ``room`` trials."""
    return Session(runner, Listener(), "study", kept.append, lambda starts, _: len(starts) <= room)


def _start(configuration: Configuration) -> Start:
    return Start(RECORDED, configuration, Role.SCREEN)


def _wrong_network(
    role: Role, configuration: Configuration, entry: RecordedConfiguration
) -> RecordedConfiguration:
    """The answer of the network in bfloat16 is wrong."""
    return disagreeing(entry) if configuration == NETWORK else entry


def test_with_memory_for_one_trial_passes_still_take_turns() -> None:
    runner, kept = WatchedRunner(), list[Record]()
    with _session(runner, kept, room=1) as session:
        assert session.open_all([_start(STOCK), _start(ALL)]) == [True, True]
        session.rounds([STOCK, ALL], 2)
    groups = Evidence.of_records(kept).screened(STOCK.digest, ALL.digest)
    assert [[math.exp(one) for one in rounds] for rounds in groups] == [
        pytest.approx([1 / recorded({"precision": "bfloat16"}).ratio]),
        pytest.approx([1 / recorded({"precision": "bfloat16"}).ratio]),
    ]
    # Both are started first, and then again for each of their passes. The candidate stays alive
    # from the end of the first round to the second round, which begins with it.
    assert [one for _, one in runner.opened] == [STOCK, ALL, STOCK, ALL, STOCK]
    assert [len(record.steady) for record in kept] == [0, 0, 1, 2, 1]


def test_every_other_round_runs_in_the_opposite_order() -> None:
    runner, kept = WatchedRunner(), list[Record]()
    with _session(runner, kept, room=2) as session:
        session.open_all([_start(STOCK), _start(ALL)])
        session.rounds([STOCK, ALL], 3)
    passed = [one.configuration for one in runner.passes]
    assert passed == [STOCK, ALL, ALL, STOCK, STOCK, ALL]


def test_with_memory_for_all_each_trial_is_started_once() -> None:
    runner, kept = WatchedRunner(), list[Record]()
    with _session(runner, kept, room=2) as session:
        session.open_all([_start(STOCK), _start(ALL)])
        session.rounds([STOCK, ALL], 3)
    assert [one for _, one in runner.opened] == [STOCK, ALL]
    assert [len(record.steady) for record in kept] == [3, 3]


@pytest.mark.parametrize(("room", "shared"), [(1, False), (2, True)])
def test_a_record_states_whether_its_trial_started_together_with_another(
    room: int, shared: bool
) -> None:
    kept = list[Record]()
    with _session(WatchedRunner(), kept, room) as session:
        session.open_all([_start(STOCK), _start(ALL)])
    assert [record.shared_start for record in kept] == [shared, shared]


def test_a_parked_trial_with_a_wrong_answer_is_not_started_again() -> None:
    runner, kept = WatchedRunner(_wrong_network), list[Record]()
    with _session(runner, kept, room=1) as session:
        session.open_all([_start(NETWORK), _start(STOCK)])
        session.rounds([NETWORK, STOCK], 1)
        assert not session.is_open(NETWORK)
        assert not session.check(NETWORK)
    assert [one for _, one in runner.opened] == [NETWORK, STOCK]
    assert kept[0].outcome is Outcome.DISAGREES


def test_the_least_recently_used_trial_makes_room() -> None:
    runner = WatchedRunner()
    with _session(runner, [], room=2) as session:
        session.open_all([_start(STOCK), _start(ALL)])
        session.rounds([STOCK], 1)
        session.open(RECORDED, NETWORK, Role.SCREEN)
        opened = len(runner.opened)
        session.rounds([STOCK, NETWORK], 1)
    assert len(runner.opened) == opened


class _OnFullDisk(ReplayedTrial):
    """A trial that cannot write a file."""

    not_written = True


class _FullDiskRunner(WatchedRunner):
    """Its trials with all of the model in bfloat16 find the disk full."""

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> ReplayedTrial:
        """A trial that has not been started."""
        if configuration == ALL:
            return _OnFullDisk(self, workload, configuration, labels, files)
        return super().trial(workload, configuration, labels, files)


def test_a_trial_on_a_full_disk_ends_the_session_and_does_not_count() -> None:
    kept = list[Record]()
    session = _session(_FullDiskRunner(), kept, 2)
    session.open_all([_start(STOCK), _start(ALL)])
    with pytest.raises(NotWrittenError), session:
        session.close(ALL)
    assert [(record.configuration.digest, record.outcome) for record in kept] == [
        (ALL.digest, Outcome.INTERRUPTED),
        (STOCK.digest, Outcome.OK),
    ]
