"""Evidence from processes: failures, pairs, and intervals of confirmation."""

from __future__ import annotations

import math

import pytest

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.tuning.search.evidence import Evidence, Process, confidence_of, gives_up

FAST = Configuration((("a", "1"),)).digest
OTHER = Configuration((("b", "1"),)).digest


@pytest.mark.parametrize(
    ("outcomes", "out"),
    [
        ([], False),
        ([Outcome.OK], False),
        ([Outcome.CRASHED], False),
        ([Outcome.CRASHED, Outcome.CRASHED], True),
        ([Outcome.CRASHED, Outcome.OK], False),
        ([Outcome.CRASHED, Outcome.OK, Outcome.CRASHED], False),
        ([Outcome.CRASHED, Outcome.OK, Outcome.CRASHED, Outcome.CRASHED], True),
        ([Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT], True),
        ([Outcome.CRASHED, Outcome.INTERRUPTED], False),
        ([Outcome.OK, Outcome.DISAGREES], True),
        ([Outcome.NONFINITE], True),
        ([Outcome.REJECTED], True),
    ],
)
def test_a_crash_is_tried_once_more_and_a_wrong_answer_is_final(
    outcomes: list[Outcome], out: bool
) -> None:
    assert gives_up(outcomes) is out


def _block(
    number: int, ratio: float, role: Role = Role.CONFIRM, digest: str = FAST
) -> list[Process]:
    """A block of two rounds in which the candidate is ``ratio`` times as fast as stock."""
    block = f"{role}-{digest}-{number}"
    return [
        Process(STOCK.digest, role, block, {0: 10.0, 1: 20.0}, Outcome.OK),
        Process(digest, role, block, {0: 10.0 / ratio, 1: 20.0 / ratio}, Outcome.OK),
    ]


def test_each_confirmation_block_counts_once() -> None:
    evidence = Evidence([one for number in range(6) for one in _block(number, 2.0 + number)])
    assert evidence.confirmed(STOCK.digest, FAST) == pytest.approx(
        [math.log(2.0 + number) for number in range(6)]
    )
    found = evidence.confirmation(STOCK.digest, FAST)
    assert found is not None
    # Twelve pairs of passes, but six pairs of processes: the interval is their range.
    assert (found.count, *(found.ends or ())) == pytest.approx((6, 2.0, 7.0))


def test_screening_never_counts_as_confirmation() -> None:
    screened = [one for number in range(9) for one in _block(number, 2.0, Role.SCREEN)]
    evidence = Evidence(screened)
    assert evidence.confirmation(STOCK.digest, FAST) is None
    assert len(evidence.screened(STOCK.digest, FAST)) == 9


def test_processes_of_different_blocks_are_not_paired() -> None:
    stock = Process(STOCK.digest, Role.BASE, "x", {0: 10.0})
    other = Process(FAST, Role.SCREEN, "y", {0: 5.0})
    alone = Process(FAST, Role.SCREEN, None, {0: 5.0})
    assert Evidence([stock, other, alone]).screened(STOCK.digest, FAST) == []


def test_only_rounds_that_both_passed_are_pairs() -> None:
    stock = Process(STOCK.digest, Role.BASE, "x", {0: 10.0, 1: 30.0, 2: 7.0})
    other = Process(FAST, Role.SCREEN, "x", {1: 10.0, 2: 7.0, 9: 1.0})
    evidence = Evidence([stock, other])
    assert evidence.screened(STOCK.digest, FAST) == [[math.log(3.0), 0.0]]
    assert evidence.screened(FAST, STOCK.digest) == [[-math.log(3.0), 0.0]]


def test_each_further_finalist_has_half_the_error() -> None:
    assert [confidence_of(rank) for rank in range(3)] == [0.95, 0.975, 0.9875]
    blocks = [
        *(one for number in range(6) for one in _block(number, 2.0 + number)),
        *(one for number in range(6) for one in _block(number, 2.0 + number, digest=OTHER)),
    ]
    evidence = Evidence(blocks)
    first = evidence.confirmation(STOCK.digest, FAST)
    second = evidence.confirmation(STOCK.digest, OTHER)
    assert first is not None
    assert second is not None
    assert first.known
    # Six pairs cannot give an interval of 97.5 %.
    assert not second.known
