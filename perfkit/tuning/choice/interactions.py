"""Interactions of knobs: two settings together against each of them alone. Pure: runs nothing."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from perfkit.records.schema import Record
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.gains import compared_pairs, log_gains
from perfkit.tuning.search.settings import Settings

type Setting = tuple[str, str]


@dataclass(frozen=True)
class Interaction:
    """Two settings together, compared with the product of their separate gains.

    Attributes
    ----------
    first, second
        Pairs of knob and value.
    ratio
        Gain of both over the product of the gains of each: above 1 if they help each other. The
        geometric mean over the squares.
    least, largest
        Smallest and largest ratio of a square.
    squares
        Number of sets of four configurations behind the ratio: with neither setting, with each of
        them, and with both, all other settings being equal.
    """

    first: Setting
    second: Setting
    ratio: float
    least: float
    largest: float
    squares: int


def interactions(records: Sequence[Record]) -> tuple[Interaction, ...]:
    """The interactions that were measured, the strongest first.

    Parameters
    ----------
    records
        Records of one study and one workload, as for
        :func:`perfkit.tuning.choice.importance.importance`.

    Returns
    -------
    tuple of Interaction
        Only pairs of settings for which all four configurations of a square were compared with
        stock. Squares share configurations, so that there is no interval.
    """
    pairs = compared_pairs(Evidence.of_records(records))
    gains = log_gains(pairs)
    settings: dict[str, Settings] = {}
    for pair in pairs:
        for process in (pair.first, pair.second):
            settings[process.digest] = process.settings
    known = {frozenset(settings[digest]): gain for digest, gain in gains.items()}
    found: dict[tuple[Setting, Setting], list[float]] = defaultdict(list)
    for both, gain in known.items():
        for first, second in combinations(sorted(both), 2):
            alone = (both - {second}, both - {first}, both - {first, second})
            if all(one in known for one in alone):
                with_first, with_second, neither = (known[one] for one in alone)
                found[first, second].append(gain - with_first - with_second + neither)
    measured = [
        Interaction(
            first,
            second,
            math.exp(statistics.fmean(values)),
            math.exp(min(values)),
            math.exp(max(values)),
            len(values),
        )
        for (first, second), values in found.items()
    ]
    return tuple(sorted(measured, key=lambda one: -abs(math.log(one.ratio))))
