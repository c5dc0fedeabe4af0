"""Trials that run at the same time: in step, on CPUs of their own, and ended by Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from perfkit.records.schema import Outcome, Record, Stage
from perfkit.tuning.side_by_side.together import run_together
from tests.support.records_factory import make_record, make_stage


class _Trial:
    """Counts how many trials are in each round, and which rounds it has passed.

    Parameters
    ----------
    dies_in
        Round in which it ends without a pass.
    interrupts_in
        Round in which the user presses Ctrl-C.
    """

    lock = threading.Lock()

    def __init__(self, dies_in: int | None = None, interrupts_in: int | None = None) -> None:
        self.rounds: list[int] = []
        self.dies_in = dies_in
        self.interrupts_in = interrupts_in

    def start(self) -> None:
        """Do nothing."""

    def wait_ready(self) -> bool:
        """It is ready at once."""
        return True

    def steady_pass(self, round_number: int) -> Stage | None:
        """A pass of a millisecond."""
        if round_number == self.dies_in:
            return None
        if round_number == self.interrupts_in:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)
        self.rounds.append(round_number)
        return make_stage("steady", 0.0, 0.001, round_number=round_number)

    def finish(self) -> Record:
        """End well."""
        return make_record(steady_s=[1.0] * len(self.rounds))

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End at once."""
        return make_record(outcome=outcome, reason=reason)


def _run(trials: Sequence[_Trial], rounds: int) -> tuple[list[Record], set[tuple[int, ...]]]:
    """Run trials together; return their records and the CPUs that threads were bound to."""
    waiting, bound = list(trials), set()

    def make() -> _Trial:
        with _Trial.lock:
            return waiting.pop()

    shares = [(number,) for number in range(len(trials))]
    records = run_together(make, shares, rounds, bind=lambda cpus: bound.add(tuple(cpus)))
    return records, bound


def test_all_make_every_round_each_on_its_share() -> None:
    trials = [_Trial(), _Trial(), _Trial()]
    records, bound = _run(trials, 20)
    assert [trial.rounds for trial in trials] == [list(range(20))] * 3
    assert [len(record.steady) for record in records] == [20] * 3
    assert bound == {(0,), (1,), (2,)}


def test_the_others_do_not_wait_for_a_trial_that_has_ended() -> None:
    trials = [_Trial(), _Trial(dies_in=2)]
    records, _ = _run(trials, 20)
    assert len(records) == 2
    # The other one may have begun the round in which its neighbour ended.
    assert trials[0].rounds in ([0, 1], [0, 1, 2])
    assert trials[1].rounds == [0, 1]


@pytest.fixture
def sigint_interrupts() -> Iterator[None]:
    """Ctrl-C interrupts, even if the tests were started with it ignored (by a shell, with &)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_interrupts")
def test_ctrl_c_ends_all_as_interrupted_and_loses_no_record() -> None:
    trials = [_Trial(), _Trial(interrupts_in=3)]
    records, _ = _run(trials, 100_000)
    assert [record.outcome for record in records] == [Outcome.INTERRUPTED] * 2
    assert all(len(trial.rounds) < 100_000 for trial in trials)
