"""Rules of screening: when it ends, and whether a candidate has won.

Screening is liberal on purpose. It chooses incumbents and finalists only; recommendations need
confirmation.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from enum import StrEnum

from perfkit.knobs.configuration import Configuration
from perfkit.stats.exact import signed_rank_p
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.processes import Pair
from perfkit.tuning.search.strategy import SearchSpace

WORTH_TRYING = 1.01
"""Least median gain of a change that is worth a setting: a smaller one only adds risk."""

CLEARLY_FASTER = 1.25
"""Ratio of each of two or more rounds above which no further round is needed. Rounds of equal
configurations had ratios from 0.86 to 1.08 on a shared machine."""

CLEARLY_SLOWER = 0.97
"""Median ratio of three or more rounds below which no further round is needed."""

SLOWER_EACH_TIME = 0.93
"""Ratio of each of two or more rounds below which no further round is needed. A single round
decides nothing: one pass in twenty may take 1.5 times as long."""

SCREENING_ERROR = 0.1
"""One-sided p-value below which one pair of processes shows a small gain; at least four rounds are
needed to reach it."""

ROUNDS_LEAST = 6
ROUNDS_MOST = 12
"""Bounds on the number of rounds of a screening, which is otherwise the number that takes about as
long as starting its processes."""

BUILDING_ERROR = 0.02
"""One-sided p-value, over the rounds of all processes, below which a change becomes part of the
incumbent. A false winner only adds a setting without effect, but ten candidates should have no
false winner."""

BEYOND_OFFSETS = 0.92
"""Ratio of one pair of processes below which a candidate is dropped. Two processes of one program
rarely differ by more, so that a slower candidate can hardly be a gain."""

BEYOND_LAYOUT = 1.03
"""Median ratio of two programs in one process above which its rounds alone establish a gain. Such
programs share the speed of their process, but not the placement of their code and data in memory,
which can be worth several percent for the life of a program (T. Mytkowicz et al., "Producing Wrong
Data Without Doing Anything Obviously Wrong!", ASPLOS 2009)."""

SMALL_ERROR = 0.125
"""One-sided p-value up to which the gain of a program over another in its process counts as smaller
than :data:`BEYOND_LAYOUT`; at least three rounds are needed to reach it. An error ends the rounds
of this pair only: unless the median shows no gain, the candidate stays undecided."""

PROCESSES_MOST = 3
"""Number of pairs of processes after which a candidate that has not won is dropped."""


class ScreeningRules:
    """The rules of this module, as a strategy uses them."""

    name: str

    @property
    def key(self) -> str:
        """Name and parameters: those of a dataclass are its fields."""
        return " ".join([self.name, *_parameters(self)])

    def check(self, space: SearchSpace) -> None:
        """Accept every space."""

    def needs_round(self, logarithms: Sequence[float], together: bool = False) -> bool:
        """Whether the rounds so far leave the verdict open."""
        if together and is_small(logarithms):
            return False
        return judge(logarithms, together) is Verdict.OPEN

    def winners(
        self,
        evidence: Evidence,
        space: SearchSpace,
        base: Configuration,
        candidates: Sequence[Configuration],
    ) -> list[Configuration]:
        """The candidates that won over all of their processes, the largest gain first."""
        judged = {
            candidate: standing_of(
                evidence.pairs(base.digest, candidate.digest), space.least_gain(base, candidate)
            )
            for candidate in candidates
        }
        won = [candidate for candidate in candidates if judged[candidate][0] is Standing.WON]
        return sorted(won, key=lambda candidate: -judged[candidate][1])


class Verdict(StrEnum):
    """Verdict on a candidate from the rounds of one pair of processes."""

    WON = "won"
    LOST = "lost"
    OPEN = "open"


class Standing(StrEnum):
    """Standing of a candidate after all of its screenings."""

    UNTRIED = "untried"
    PROMISING = "promising"
    """It won in one pair of processes, and fresh processes have to repeat the win."""
    UNDECIDED = "undecided"
    WON = "won"
    LOST = "lost"


def standing_of(pairs: Sequence[Pair], least_gain: float) -> tuple[Standing, float]:
    """The standing of a candidate and its mean gain, from its pairs with one or more bases.

    Parameters
    ----------
    pairs
        The pairs.
    least_gain
        Gain below which the candidate loses however sure it is, see
        :meth:`perfkit.tuning.search.strategy.SearchSpace.least_gain`.
    """
    groups = [pair.logarithms for pair in pairs]
    reached, gain = standing(groups, [pair.together for pair in pairs]), mean_gain(groups)
    if reached in (Standing.WON, Standing.PROMISING) and gain < least_gain:
        return Standing.LOST, gain
    return reached, gain


def standing(groups: Sequence[Sequence[float]], together: Sequence[bool] = ()) -> Standing:
    """The standing of a candidate.

    Two processes of one program can differ for their whole life, and all candidates that are
    screened with one slow process of the base look fast. A small gain therefore counts only when
    fresh processes repeat it. Programs in one process have no such difference, and enough rounds
    of one pair of them are decisive.

    Parameters
    ----------
    groups
        Logarithms of ``base / candidate``, one list of rounds per pair of processes.
    together
        Whether both programs of each pair ran in one process; by default, none did.
    """
    if not groups:
        return Standing.UNTRIED
    gain = mean_gain(groups)
    slower = [rounds for rounds in groups if statistics.median(rounds) <= 0]
    pooled = [logarithm for rounds in groups for logarithm in rounds]
    if any(_clearly_faster(rounds) for rounds in (*groups, pooled)) and not slower:
        return Standing.WON
    if len(groups) == 1:
        return _standing_of_one(groups[0], bool(together) and together[0])
    # Both of two pairs of processes were faster, or two of three.
    least = WORTH_TRYING
    if any(together):
        # The scatter of the mean of several placements in memory is smaller by the root of their
        # number; the rounds are too precise to show it.
        least = max(least, math.exp(math.log(BEYOND_LAYOUT) / math.sqrt(len(groups))))
    repeated = len(slower) <= len(groups) - 2 and gain > least
    if repeated and signed_rank_p(pooled) <= BUILDING_ERROR:
        return Standing.WON
    # Where memory holds one trial only, each round is a pair of processes.
    enough = len(groups) >= PROCESSES_MOST and len(pooled) >= ROUNDS_LEAST
    return Standing.LOST if enough or gain <= 1.0 else Standing.UNDECIDED


def _parameters(strategy: object) -> list[str]:
    if not dataclasses.is_dataclass(strategy):
        return []
    names = [field.name for field in dataclasses.fields(strategy)]
    return [f"{name}={getattr(strategy, name)}" for name in names]


def _standing_of_one(rounds: Sequence[float], together: bool) -> Standing:
    """The standing of a candidate after one pair of processes, or one pair in one process."""
    gain, verdict = math.exp(statistics.median(rounds)), judge(rounds, together)
    if together:
        if verdict is Verdict.WON:
            return Standing.WON
        no_gain = gain <= 1.0 and (len(rounds) >= ROUNDS_LEAST or is_small(rounds))
        return Standing.LOST if verdict is Verdict.LOST or no_gain else Standing.UNDECIDED
    if gain < BEYOND_OFFSETS and verdict is Verdict.LOST:
        return Standing.LOST
    return Standing.PROMISING if verdict is Verdict.WON else Standing.UNDECIDED


def judge(logarithms: Sequence[float], together: bool = False) -> Verdict:
    """The verdict on a candidate from one pair of processes.

    Parameters
    ----------
    logarithms
        Logarithms of ``base / candidate``, one per round.
    together
        Whether both programs ran in one process. A gain then needs stronger evidence, because no
        second pair has to repeat it.
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
    least, error = (BEYOND_LAYOUT, BUILDING_ERROR) if together else (WORTH_TRYING, SCREENING_ERROR)
    if median > least and signed_rank_p(logarithms) <= error:
        return Verdict.WON
    return Verdict.OPEN


def is_small(logarithms: Sequence[float]) -> bool:
    """Whether the gain of a program over another in its process is shown to be a small one.

    The placement in memory can cause as much, so that further rounds of this pair decide nothing.

    Parameters
    ----------
    logarithms
        Logarithms of ``base / candidate``, one per round.
    """
    short_of = [math.log(BEYOND_LAYOUT) - logarithm for logarithm in logarithms]
    return bool(short_of) and signed_rank_p(short_of) <= SMALL_ERROR


def mean_gain(groups: Sequence[Sequence[float]]) -> float:
    """The gain of a candidate, or 0 where it was not measured.

    It is the geometric mean, over pairs of processes, of the median of ``base / candidate``.

    Parameters
    ----------
    groups
        Logarithms of ``base / candidate``, one list of rounds per pair of processes.
    """
    if not groups:
        return 0.0
    return math.exp(statistics.fmean(statistics.median(rounds) for rounds in groups))


def _clearly_faster(logarithms: Sequence[float]) -> bool:
    return len(logarithms) > 1 and min(logarithms) > math.log(CLEARLY_FASTER)
