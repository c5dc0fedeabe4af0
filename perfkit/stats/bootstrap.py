"""Medians with bootstrap intervals, and ratios of measurements taken in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
"""Bootstrap resamples; the interval's ends then move by well under the noise of timings."""

SEED = 12345
"""The same measurements give the same interval everywhere."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median with an interval around it, in the unit of what was measured."""

    median: float
    low: float
    high: float
    count: int
    """Measurements (or pairs) that it rests on."""

    def __mul__(self, other: Interval) -> Interval:
        """The product of two positive quantities; its interval is the widest there can be."""
        return Interval(
            self.median * other.median,
            self.low * other.low,
            self.high * other.high,
            min(self.count, other.count),
        )

    @property
    def inverse(self) -> Interval:
        """One over a positive quantity."""
        return Interval(1 / self.median, 1 / self.high, 1 / self.low, self.count)

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside the interval."""
        return not self.low <= value <= self.high


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Median and percentile bootstrap interval.

    Parameters
    ----------
    values
        Measurements, at least one; of one alone the interval is that value.
    confidence
        Coverage wanted, between 0 and 1. With fewer than six values the interval is at most
        from the least to the greatest and covers less than that.

    Raises
    ------
    ValueError
        There are no values.

    References
    ----------
    B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979),
    1-26; percentile interval: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap"
    (1993), chapter 13.
    """
    if not len(values):
        raise ValueError("a median needs at least one value")
    array = np.asarray(values, float)
    generator = np.random.default_rng(SEED)
    picked = generator.integers(0, len(array), (RESAMPLES, len(array)))
    medians = np.median(array[picked], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(np.median(array)), float(low), float(high), len(array))


def paired_ratio(
    baseline: Sequence[float], candidate: Sequence[float], confidence: float = CONFIDENCE
) -> Interval:
    """How many times faster the candidate is: ``baseline / candidate``, pair by pair.

    Measurements that were taken in turns share the machine's drift, which cancels in each
    pair's ratio (T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013).

    Parameters
    ----------
    baseline, candidate
        Positive measurements of equal length; equal positions belong together.

    Raises
    ------
    ValueError
        The lengths differ, or there are no pairs.
    """
    if len(baseline) != len(candidate):
        raise ValueError("pairs need as many measurements on each side")
    ratios = np.asarray(baseline, float) / np.asarray(candidate, float)
    return median_interval([float(ratio) for ratio in ratios], confidence)


def unpaired_ratio(
    old: Sequence[Sequence[float]],
    new: Sequence[Sequence[float]],
    confidence: float = CONFIDENCE,
) -> Interval:
    """Ratio of medians ``new / old`` of measurements that were not taken in turns.

    Whole groups are drawn first and then measurements within each, so that what differs between
    processes widens the interval as much as what differs between passes does. With one group a
    side nothing is known of the former and the interval covers the latter alone.

    Parameters
    ----------
    old, new
        Positive measurements, a group a process; no group is empty.
    confidence
        Coverage wanted, between 0 and 1.

    Raises
    ------
    ValueError
        A side has no measurements.

    References
    ----------
    T. Kalibera and R. Jones, "Quantifying Performance Changes with Effect Size Confidence
    Intervals" (2012), section 6: hierarchical bootstrap of a ratio.
    """
    if not old or not new:
        raise ValueError("a ratio needs measurements on both sides")
    generator = np.random.default_rng(SEED)
    ratios = _group_medians(new, generator) / _group_medians(old, generator)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail], method="inverted_cdf")
    counts = [sum(len(group) for group in side) for side in (old, new)]
    medians = [
        np.median(np.concatenate([np.asarray(g, float) for g in side])) for side in (old, new)
    ]
    return Interval(float(medians[1] / medians[0]), float(low), float(high), min(counts))


def _group_medians(
    groups: Sequence[Sequence[float]], generator: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Medians of resamples of groups and of measurements within them, shape (resamples,)."""
    arrays = [np.asarray(group, float) for group in groups]
    if len(arrays) == 1:
        only = generator.choice(arrays[0], (RESAMPLES, len(arrays[0])))
        return np.asarray(np.median(only, axis=1))
    medians = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        chosen = generator.integers(0, len(arrays), len(arrays))
        drawn = [generator.choice(arrays[index], len(arrays[index])) for index in chosen]
        medians[number] = np.median(np.concatenate(drawn))
    return medians
