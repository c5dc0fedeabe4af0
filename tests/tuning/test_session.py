"""Sessions on replayed trials: which trials live, which are started again, which rounds pair up."""

from __future__ import annotations

import math

import pytest

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.af3.knobs import KNOBS
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.session import Session, Start
from tests.support.replay import WORKLOAD, Behaviour, Listener, ReplayRunner

EXACT = Catalogue(KNOBS).configuration({"bucket": "exact"})
ROWS = Catalogue(KNOBS).configuration({"msa_rows": "needed"})


def table(configuration: Configuration) -> Behaviour:
    """Stock takes 30 s, the exact bucket 12 s, and fewer rows 20 s with a wrong answer."""
    if configuration == ROWS:
        return Behaviour(20.0, Outcome.DISAGREES)
    return Behaviour(12.0 if configuration == EXACT else 30.0)


def _session(runner: ReplayRunner, kept: list[Record], room: int) -> Session:
    """A session with memory for ``room`` trials."""
    return Session(runner, Listener(), "study", kept.append, lambda starts: len(starts) <= room)


def _start(configuration: Configuration) -> Start:
    return Start(WORKLOAD, configuration, Role.SCREEN)


def test_with_memory_for_one_trial_passes_still_take_turns() -> None:
    runner, kept = ReplayRunner(table), list[Record]()
    with _session(runner, kept, room=1) as session:
        assert session.open_all([_start(STOCK), _start(EXACT)]) == [True, True]
        session.rounds([STOCK, EXACT], 2)
    groups = Evidence.of_records(kept).screened(STOCK.digest, EXACT.digest)
    assert [[math.exp(one) for one in rounds] for rounds in groups] == [
        pytest.approx([2.5]),
        pytest.approx([2.5]),
    ]
    # Both are started first, and then again for each of their passes. The exact bucket stays alive
    # from the end of the first round to the second round, which begins with it.
    assert [one for _, one in runner.opened] == [STOCK, EXACT, STOCK, EXACT, STOCK]
    assert [len(record.steady) for record in kept] == [0, 0, 1, 2, 1]


def test_every_other_round_runs_in_the_opposite_order() -> None:
    runner, kept = ReplayRunner(table), list[Record]()
    with _session(runner, kept, room=2) as session:
        session.open_all([_start(STOCK), _start(EXACT)])
        session.rounds([STOCK, EXACT], 3)
    assert runner.passed == [STOCK, EXACT, EXACT, STOCK, STOCK, EXACT]


def test_with_memory_for_all_each_trial_is_started_once() -> None:
    runner, kept = ReplayRunner(table), list[Record]()
    with _session(runner, kept, room=2) as session:
        session.open_all([_start(STOCK), _start(EXACT)])
        session.rounds([STOCK, EXACT], 3)
    assert [one for _, one in runner.opened] == [STOCK, EXACT]
    assert [len(record.steady) for record in kept] == [3, 3]


@pytest.mark.parametrize(("room", "shared"), [(1, False), (2, True)])
def test_a_record_states_whether_its_trial_started_together_with_another(
    room: int, shared: bool
) -> None:
    kept = list[Record]()
    with _session(ReplayRunner(table), kept, room) as session:
        session.open_all([_start(STOCK), _start(EXACT)])
    assert [record.shared_start for record in kept] == [shared, shared]


def test_a_parked_trial_with_a_wrong_answer_is_not_started_again() -> None:
    runner, kept = ReplayRunner(table), list[Record]()
    with _session(runner, kept, room=1) as session:
        session.open_all([_start(ROWS), _start(STOCK)])
        session.rounds([ROWS, STOCK], 1)
        assert not session.is_open(ROWS)
        assert not session.check(ROWS)
    assert [one for _, one in runner.opened] == [ROWS, STOCK]
    assert kept[0].outcome is Outcome.DISAGREES


def test_the_least_recently_used_trial_makes_room() -> None:
    runner = ReplayRunner(table)
    other = Catalogue(KNOBS).configuration({"precision": "float32"})
    with _session(runner, [], room=2) as session:
        session.open_all([_start(STOCK), _start(EXACT)])
        session.rounds([STOCK], 1)
        session.open(WORKLOAD, other, Role.SCREEN)
        opened = len(runner.opened)
        session.rounds([STOCK, other], 1)
    assert len(runner.opened) == opened
