"""Times and memory of full passes that were predicted from passes of the shallow network.

The shallow network has fewer blocks in each stack (:mod:`perfkit.models.depth`). The prediction
scales the time of a stack by its blocks, which leaves a small error for each part: the compiler
treats loops of few blocks differently. Memory beyond the compiler's count does not grow with the
blocks, but may differ by what a process keeps of the weights. Where a size was measured at both
depths, both errors are known and corrected at all sizes.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from perfkit.capacity.laws.observation import PROCESS_ERROR, Observation

SHALLOW_ERROR = 0.03
"""Relative standard deviation of the true error of a part, which is what the compiler treats
differently. Uncorrected predictions of native kernels at 192 to 512 tokens were off by less."""

type _Point = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Shallow:
    """Observations of the shallow network, corrected to the full one.

    Attributes
    ----------
    observations
        Those at points that the full network was not measured at.
    factors
        Part to the factor on its seconds, from the points measured at both depths; empty where
        there are none.
    overhead_bytes
        Bytes that the full network takes beyond the compiler's count and beyond what the shallow
        one takes there, the mean over the same points; None where there are none.
    """

    observations: list[Observation]
    factors: dict[str, float] = field(default_factory=dict)
    overhead_bytes: float | None = None

    @property
    def with_memory(self) -> list[Observation]:
        """The observations whose overhead is known; empty where it could not be corrected."""
        if self.overhead_bytes is None:
            return []
        return [one for one in self.observations if one.peak_rss_bytes is not None]


def corrected(full: Sequence[Observation], shallow: Sequence[Observation]) -> Shallow:
    """Correct the predictions of the shallow network by the points measured at both depths.

    Parameters
    ----------
    full, shallow
        Observations of the full network, and those of the shallow one.

    Notes
    -----
    Processes of one program differ by more than the two depths do, so that the mean ratio of a few
    pairs of processes is mostly noise. The logarithm of a factor is the posterior mean of a normal
    distribution with :data:`SHALLOW_ERROR` as prior and
    :data:`perfkit.capacity.laws.observation.PROCESS_ERROR` as noise of each process (C. Bishop,
    "Pattern Recognition and Machine Learning" (2006), section 2.3.6).
    """
    measured: dict[_Point, list[Observation]] = defaultdict(list)
    for one in full:
        measured[_point(one)].append(one)
    logs: dict[str, list[float]] = defaultdict(list)
    beyond: list[float] = []
    for one in shallow:
        for twin in measured.get(_point(one), ()):
            if one.peak_rss_bytes is not None and twin.peak_rss_bytes is not None:
                beyond.append(twin.overhead_bytes - one.overhead_bytes)
            for name in one.seconds.keys() & twin.seconds.keys():
                if one.seconds[name] > 0 and twin.seconds[name] > 0:
                    logs[name].append(math.log(twin.seconds[name] / one.seconds[name]))
    factors = {name: math.exp(_shrunk(each)) for name, each in sorted(logs.items())}
    more = statistics.fmean(beyond) if beyond else None
    return Shallow(
        [_corrected(one, factors, more) for one in shallow if _point(one) not in measured],
        factors,
        more,
    )


def _shrunk(logs: Sequence[float]) -> float:
    """Return the posterior mean of a true logarithm, given one of each pair of processes."""
    prior, noise = 1 / SHALLOW_ERROR**2, len(logs) / (2 * PROCESS_ERROR**2)
    return statistics.fmean(logs) * noise / (prior + noise)


def _point(observation: Observation) -> _Point:
    return tuple(sorted(observation.features.items()))


def _corrected(
    observation: Observation, factors: Mapping[str, float], more_bytes: float | None
) -> Observation:
    seconds = {name: one * factors.get(name, 1.0) for name, one in observation.seconds.items()}
    counts = observation.counts
    peak = observation.peak_rss_bytes
    return replace(
        observation,
        seconds=seconds,
        steady_s=sum(one * counts.get(name, 1) for name, one in seconds.items()),
        peak_rss_bytes=None if peak is None else round(peak + (more_bytes or 0.0)),
    )
