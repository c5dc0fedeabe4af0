"""When a candidate has been screened for long enough, and what the screening says.

Screening is liberal on purpose: it only chooses what is built upon and what is confirmed. Nothing
is recommended on its account.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from enum import StrEnum

from perfkit.stats.exact import signed_rank_p

WORTH_TRYING = 1.01
"""A knob whose median gain is smaller is left at stock: it would only add risk."""

CLEARLY_FASTER = 1.25
"""Ratio of two and more pairs above which no further round is needed (pairs of equal
configurations were seen between 0.86 and 1.08 on a shared machine)."""

CLEARLY_SLOWER = 0.97
"""Median ratio of three and more pairs below which no further round is needed."""

SLOWER_EACH_TIME = 0.93
"""Ratio of two pairs, both, below which no further round is needed. One pair says nothing: one
pass in twenty may take half as long again."""

SCREENING_ERROR = 0.1
"""One-sided p-value below which a small gain is believed enough to build on; the least number of
pairs that can reach it is four."""

ROUNDS_LEAST = 6
ROUNDS_MOST = 12
"""Rounds after which a screening ends undecided: at least as many as take the time of starting its
processes, within these bounds."""


BUILDING_ERROR = 0.02
"""One-sided p-value, over the rounds of all its processes, below which a gain is built upon. A
false one costs no more than a setting that does nothing, but of ten candidates none should."""

BEYOND_OFFSETS = 0.92
"""Ratio of one pair of processes below which a candidate is out. Two processes of one program
rarely differ by more, and what looks worse is hardly the gain that is looked for."""

PROCESSES_MOST = 3
"""Pairs of processes after which a candidate that has not won is out."""


class Verdict(StrEnum):
    """What the rounds of one pair of processes say of a candidate."""

    WON = "won"
    LOST = "lost"
    OPEN = "open"


class Standing(StrEnum):
    """What all screenings of a candidate on one base say together."""

    UNTRIED = "untried"
    PROMISING = "promising"
    """It won with one pair of processes: fresh ones have to repeat it."""
    UNDECIDED = "undecided"
    WON = "won"
    LOST = "lost"


def standing(groups: Sequence[Sequence[float]]) -> Standing:
    """Where a candidate stands after so many pairs of processes.

    Two processes of one program can differ for good, and all candidates that are screened with
    one slow process of the base look fast. A small gain is therefore only built upon when fresh
    processes repeat it.

    Parameters
    ----------
    groups
        Logarithms of ``base / candidate`` of the rounds of each pair of processes.
    """
    if not groups:
        return Standing.UNTRIED
    gain = mean_gain(groups)
    slower = [rounds for rounds in groups if statistics.median(rounds) <= 0]
    pooled = [one for rounds in groups for one in rounds]
    if any(_clearly_faster(rounds) for rounds in (*groups, pooled)) and not slower:
        return Standing.WON
    if len(groups) == 1:
        if gain < BEYOND_OFFSETS and judge(groups[0]) is Verdict.LOST:
            return Standing.LOST
        return Standing.PROMISING if judge(groups[0]) is Verdict.WON else Standing.UNDECIDED
    # Both of two processes, or two of three.
    repeated = len(slower) <= len(groups) - 2 and gain > WORTH_TRYING
    if repeated and signed_rank_p(pooled) <= BUILDING_ERROR:
        return Standing.WON
    # Where memory holds one trial, each round is a pair of processes.
    enough = len(groups) >= PROCESSES_MOST and len(pooled) >= ROUNDS_LEAST
    out = enough or gain <= 1.0
    return Standing.LOST if out else Standing.UNDECIDED


def judge(logarithms: Sequence[float]) -> Verdict:
    """Verdict on a candidate after so many rounds of one pair of processes.

    Parameters
    ----------
    logarithms
        Logarithms of ``base / candidate``, one for each round.
    """
    if not logarithms:
        return Verdict.OPEN
    median = math.exp(statistics.median(logarithms))
    if len(logarithms) > 1 and max(logarithms) < math.log(SLOWER_EACH_TIME):
        return Verdict.LOST
    if len(logarithms) > 2 and median < CLEARLY_SLOWER:
        return Verdict.LOST
    if _clearly_faster(logarithms):
        return Verdict.WON
    if median > WORTH_TRYING and signed_rank_p(logarithms) <= SCREENING_ERROR:
        return Verdict.WON
    return Verdict.OPEN


def mean_gain(groups: Sequence[Sequence[float]]) -> float:
    """Geometric mean over pairs of processes of the median of ``base / candidate``; 0 without any.

    Parameters
    ----------
    groups
        Logarithms of ``base / candidate`` of the rounds of each pair of processes.
    """
    if not groups:
        return 0.0
    return math.exp(statistics.fmean(statistics.median(rounds) for rounds in groups))


def _clearly_faster(logarithms: Sequence[float]) -> bool:
    return len(logarithms) > 1 and min(logarithms) > math.log(CLEARLY_FASTER)
