"""The work on a screening grows with its pairs, not with the square of its trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from perfkit.knobs.configuration import STOCK
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.gains import compared_pairs, log_gains
from perfkit.tuning.search.processes import Process

if TYPE_CHECKING:
    from _collections_abc import dict_keys

CANDIDATES = 2000


class CountedTimes(dict[int, float]):
    """Times of passes by round, which count how often they are compared with others."""

    compared = 0

    def keys(self) -> dict_keys[int, float]:
        CountedTimes.compared += 1
        return super().keys()


@pytest.fixture
def evidence() -> Evidence:
    """One block: candidate n passes in two rounds with the base, 1 + n / 1000 times as fast."""
    CountedTimes.compared = 0
    rounds = CountedTimes(dict.fromkeys(range(2 * CANDIDATES), 4.0))
    processes = [Process(STOCK.digest, Role.BASE, "block", rounds, Outcome.OK)]
    for number in range(CANDIDATES):
        wall_s = 4.0 / (1 + number / 1000)
        times_s = CountedTimes({2 * number: wall_s, 2 * number + 1: wall_s})
        processes.append(Process(f"{number:05}", Role.SCREEN, "block", times_s, Outcome.OK))
    return Evidence(processes)


def test_each_candidate_is_compared_with_the_base_alone(evidence: Evidence) -> None:
    medians = evidence.round_medians()
    assert len(medians) == 2 * CANDIDATES
    ratio, rounds = medians[STOCK.digest, "01000"]
    assert (ratio, rounds) == pytest.approx((2.0, 2))
    assert len(evidence.comparisons) == CANDIDATES
    # Each of the two looks at every pair from both sides, and each look takes the keys of both.
    assert CountedTimes.compared == 8 * CANDIDATES


def test_the_gains_of_many_candidates_are_those_of_their_pairs(evidence: Evidence) -> None:
    gains = log_gains(compared_pairs(evidence))
    assert len(gains) == CANDIDATES + 1
    assert gains["00500"] == pytest.approx(math.log(1.5))
    assert gains[STOCK.digest] == 0.0
