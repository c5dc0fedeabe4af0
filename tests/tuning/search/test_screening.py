"""Verdicts on rounds and on several pairs of processes, worked out by hand."""

from __future__ import annotations

import math

import pytest

from perfkit.tuning.search.screening import (
    ScreeningRules,
    Standing,
    Verdict,
    judge,
    mean_gain,
    standing,
)


def _logs(*ratios: float) -> list[float]:
    return [math.log(ratio) for ratio in ratios]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ((), Verdict.OPEN),
        ((0.6,), Verdict.OPEN),
        ((0.92, 0.91), Verdict.LOST),
        ((0.6, 1.05), Verdict.OPEN),
        ((2.0,), Verdict.OPEN),
        ((1.3, 1.4), Verdict.WON),
        ((0.96, 0.96), Verdict.OPEN),
        ((0.96, 0.96, 1.0), Verdict.LOST),
        # Three wins of three have p = 1/8, four of four p = 1/16.
        ((1.04, 1.05, 1.06), Verdict.OPEN),
        ((1.04, 1.05, 1.06, 1.03), Verdict.WON),
        ((1.04, 1.05, 1.06, 0.99), Verdict.OPEN),
        ((1.005, 1.006, 1.004, 1.003), Verdict.OPEN),
    ],
)
def test_the_rounds_of_one_pair_of_processes(ratios: tuple[float, ...], verdict: Verdict) -> None:
    assert judge(_logs(*ratios)) is verdict


WINS = _logs(1.04, 1.05, 1.06, 1.03)
LOSES = _logs(0.96, 0.97, 0.98, 0.97)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([], Standing.UNTRIED),
        ([WINS], Standing.PROMISING),
        ([WINS, WINS], Standing.WON),
        # Fresh processes that do not repeat a win take it back.
        ([WINS, LOSES], Standing.UNDECIDED),
        ([WINS, LOSES, WINS], Standing.LOST),
        ([LOSES], Standing.UNDECIDED),
        ([LOSES, LOSES, LOSES], Standing.LOST),
        # A ratio that no difference between processes explains is decided at once.
        ([_logs(1.6, 1.5)], Standing.WON),
        ([_logs(0.7, 0.7)], Standing.LOST),
        # Where memory holds one trial only, each round is a pair of processes.
        ([_logs(2.0)], Standing.UNDECIDED),
        ([_logs(2.0), _logs(2.0)], Standing.WON),
        ([_logs(1.05)] * 4, Standing.UNDECIDED),
        ([_logs(1.05)] * 6, Standing.WON),
    ],
)
def test_a_small_gain_has_to_be_repeated_by_fresh_processes(
    groups: list[list[float]], expected: Standing
) -> None:
    assert standing(groups) is expected


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        # Five of five have p = 1/32; six of six have p = 1/64, below 2 %.
        ((1.04, 1.05, 1.06, 1.03, 1.05), Standing.UNDECIDED),
        ((1.04, 1.05, 1.06, 1.03, 1.05, 1.04), Standing.WON),
        # A gain that the placement in memory may explain has to be repeated.
        ((1.02, 1.021, 1.022, 1.02, 1.021, 1.02), Standing.UNDECIDED),
        # With two negative ranks of seven (1 and 2), p = 5/128.
        ((1.04, 1.05, 1.06, 0.99, 0.98, 1.05, 1.04), Standing.UNDECIDED),
        ((1.6, 1.5), Standing.WON),
        # No difference between processes can hide a gain.
        ((0.96, 0.96, 0.96), Standing.LOST),
        ((0.999, 1.001, 0.998, 0.999, 0.999, 0.998), Standing.LOST),
        # Three of three ratios below 1.03 have p = 1/8: the gain is small, and there is none yet.
        ((0.999, 1.001, 0.998), Standing.LOST),
        ((0.999, 1.001, 1.002), Standing.UNDECIDED),
        ((0.999, 0.998), Standing.UNDECIDED),
    ],
)
def test_rounds_of_two_programs_in_one_process_are_decisive(
    ratios: tuple[float, ...], expected: Standing
) -> None:
    assert standing([_logs(*ratios)], [True]) is expected


def test_repeated_pairs_in_one_process_have_to_gain_more_than_placement_explains() -> None:
    """3 % for one pair and 3 % / sqrt(2) = 2.1 % for two."""
    two, three = _logs(*[1.02] * 6), _logs(*[1.022] * 6)
    assert standing([two, two], [True, True]) is Standing.UNDECIDED
    assert standing([three, three], [True, True]) is Standing.WON
    assert standing([two, two], [False, False]) is Standing.WON


def test_a_pair_in_one_process_needs_more_rounds_than_one_that_is_repeated() -> None:
    four = _logs(1.04, 1.05, 1.06, 1.03)
    assert judge(four) is Verdict.WON
    assert judge(four, together=True) is Verdict.OPEN


@pytest.mark.parametrize(
    ("ratios", "more"),
    [
        ((1.01, 1.02), True),
        # Three of three below 1.03 have p = 1/8: only another placement in memory can show a gain.
        ((1.01, 1.02, 1.01), False),
        ((1.01, 1.02, 1.04), True),
        # The smallest distance is above: two of the 16 sums reach 9, p = 1/8.
        ((1.01, 1.02, 1.01, 1.035), False),
        ((1.01, 1.02, 1.01, 1.06), True),
        # Only the smallest distance is above: two of the 32 sums reach 14, p = 1/16.
        ((1.01, 1.00, 1.01, 1.035, 1.02), False),
        ((1.04, 1.05, 1.03, 1.05), True),
    ],
)
def test_programs_in_one_process_need_no_more_rounds_once_a_gain_must_be_small(
    ratios: tuple[float, ...], more: bool
) -> None:
    assert ScreeningRules().needs_round(_logs(*ratios), together=True) is more
    assert ScreeningRules().needs_round(_logs(1.005, 1.006, 1.004, 1.003))


def test_the_gain_is_the_geometric_mean_over_processes() -> None:
    assert mean_gain([_logs(2.0, 2.0, 9.0), _logs(8.0)]) == pytest.approx(4.0)
    assert mean_gain([]) == 0.0
