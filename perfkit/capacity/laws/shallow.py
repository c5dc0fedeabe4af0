"""Times of full passes that were predicted from passes of the shallow network.

The shallow network has fewer blocks in each stack (:mod:`perfkit.models.depth`). The prediction
scales the time of a stack by its blocks, which leaves a small error for each part: the compiler
treats loops of few blocks differently. Where a size was measured at both depths, the error is known
and corrected at all sizes.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from perfkit.capacity.laws.observation import Observation

type _Point = tuple[tuple[str, float], ...]


def corrected(
    full: Sequence[Observation], shallow: Sequence[Observation]
) -> tuple[list[Observation], dict[str, float]]:
    """Correct the predictions of the shallow network by the points measured at both depths.

    Parameters
    ----------
    full, shallow
        Observations of the full network, and those of the shallow one.

    Returns
    -------
    observations : list of Observation
        The shallow observations at points that the full network was not measured at.
    corrections : dict
        Part to the factor on its seconds, the geometric mean over the common points; empty where
        there are none.
    """
    measured: dict[_Point, list[Observation]] = defaultdict(list)
    for one in full:
        measured[_point(one)].append(one)
    logs: dict[str, list[float]] = defaultdict(list)
    for one in shallow:
        for twin in measured.get(_point(one), ()):
            for name in one.seconds.keys() & twin.seconds.keys():
                if one.seconds[name] > 0 and twin.seconds[name] > 0:
                    logs[name].append(math.log(twin.seconds[name] / one.seconds[name]))
    factors = {name: math.exp(statistics.fmean(each)) for name, each in sorted(logs.items())}
    return [_scaled(one, factors) for one in shallow if _point(one) not in measured], factors


def _point(observation: Observation) -> _Point:
    return tuple(sorted(observation.features.items()))


def _scaled(observation: Observation, factors: Mapping[str, float]) -> Observation:
    seconds = {name: one * factors.get(name, 1.0) for name, one in observation.seconds.items()}
    counts = observation.counts
    return replace(
        observation,
        seconds=seconds,
        steady_s=sum(one * counts.get(name, 1) for name, one in seconds.items()),
    )
