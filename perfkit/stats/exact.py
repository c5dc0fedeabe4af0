"""Exact, distribution-free confidence intervals at the number of measurements there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from perfkit.stats.interval import CONFIDENCE, Interval

LOOKS = (6, 9, 12, 16, 24, 32, 48, 64)
"""Numbers of pairs at which a sequential comparison is looked at. Six is the least number that can
give 95 % for a median at all: 1 - 2 / 2^6 = 0.969."""


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The sample median with the exact interval between two order statistics.

    The interval covers the median of any continuous distribution with at least ``confidence``,
    provided the values are independent. Passes of one process are not: give one value a process.

    Parameters
    ----------
    values
        Measurements, at least one.
    confidence
        Coverage wanted, between 0 and 1.

    Returns
    -------
    Interval
        Without ends where there are too few values: at 95 %, fewer than six.

    Raises
    ------
    ValueError
        There are no values.

    References
    ----------
    W. J. Conover, "Practical Nonparametric Statistics", 3rd edition (1999), section 3.2.
    """
    if not len(values):
        raise ValueError("a median needs at least one value")
    ordered = sorted(float(value) for value in values)
    count, middle = len(ordered), float(np.median(ordered))
    # Largest number of values that may be cut off at each end: P(Binomial(n, 1/2) < cut) <= tail.
    tail = (1 - confidence) / 2
    cut = int(binom.ppf(tail, count, 0.5))
    while cut > 0 and binom.cdf(cut - 1, count, 0.5) > tail:
        cut -= 1
    if cut == 0:
        return Interval(middle, None, None, count)
    return Interval(middle, ordered[cut - 1], ordered[count - cut], count)


def median_uncertainty(values: Sequence[float]) -> float:
    """Half the width of the interval of a median, as a share of the median.

    For deciding when to stop repeating, not for print: with fewer than six values it is half
    their range, which covers less than 95 %.

    Parameters
    ----------
    values
        Positive measurements, at least one.
    """
    found = median_interval(values)
    low, high = found.ends or (min(values), max(values))
    return (high - low) / 2 / found.median


def log_ratios(baseline: Sequence[float], candidate: Sequence[float]) -> list[float]:
    """Natural logarithms of ``baseline / candidate``, pair by pair.

    Measurements taken in turns share the machine's drift, which cancels in the ratio of a pair
    (T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013).

    Parameters
    ----------
    baseline, candidate
        Positive measurements of equal length; equal positions belong together.

    Raises
    ------
    ValueError
        The lengths differ.
    """
    if len(baseline) != len(candidate):
        raise ValueError("pairs need as many measurements on each side")
    pairs = zip(baseline, candidate, strict=True)
    return [math.log(first / second) for first, second in pairs]


def paired_ratio(
    baseline: Sequence[float], candidate: Sequence[float], confidence: float = CONFIDENCE
) -> Interval:
    """How many times as fast the candidate is, from a number of pairs that was fixed beforehand.

    Parameters
    ----------
    baseline, candidate
        Positive measurements of equal length, one pair for each pair of processes.
    confidence
        Coverage wanted, between 0 and 1.

    Returns
    -------
    Interval
        Hodges-Lehmann estimate of ``baseline / candidate`` with the exact interval of Wilcoxon's
        signed-rank test; without ends where there are too few pairs (at 95 %, fewer than six).
        Where a pair is added until the result pleases, use :func:`sequential_ratio`.

    Raises
    ------
    ValueError
        The lengths differ, or there are no pairs.
    """
    logarithms = log_ratios(baseline, candidate)
    return _as_ratio(logarithms, _signed_rank_ends(logarithms, 1 - confidence))


def sequential_ratio(logarithms: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The ratio that a growing series of pairs supports, whenever one stops looking at it.

    The series is evaluated at fixed numbers of pairs (:data:`LOOKS`). The error probability
    is divided among the looks beforehand, so that all intervals of a series together cover with
    at least ``confidence``: stopping because the interval is narrow enough, or because the budget
    is spent, or going on another day, costs no coverage. The intersection of the intervals of all
    looks so far is returned, and no interval where they contradict each other.

    Parameters
    ----------
    logarithms
        Logarithms of ratios in the order of measurement, one for each pair of processes. They
        must be independent and symmetric about the true one, which holds where both sides have
        the same noise.
    confidence
        Coverage wanted, between 0 and 1.

    Returns
    -------
    Interval
        Hodges-Lehmann estimate from all pairs, without ends before the first look that can give
        any. ``count`` is the number of all pairs.

    Raises
    ------
    ValueError
        There are no pairs.

    References
    ----------
    Interval: M. Hollander, D. Wolfe and E. Chicken, "Nonparametric Statistical Methods", 3rd
    edition (2014), sections 3.1 to 3.3. Division of the error over the looks: K. Lan and
    D. DeMets, "Discrete Sequential Boundaries for Clinical Trials", Biometrika 70 (1983),
    659-663; here by Bonferroni's inequality, which needs no joint distribution.
    """
    ends: tuple[float, float] | None = None
    for count, error in _spending(1 - confidence):
        if count > len(logarithms):
            break
        found = _signed_rank_ends(logarithms[:count], error)
        if found is not None:
            ends = found if ends is None else (max(ends[0], found[0]), min(ends[1], found[1]))
    if ends is not None and ends[0] > ends[1]:
        # The machine has changed in between: no single ratio explains what was measured.
        ends = None
    return _as_ratio(logarithms, ends)


def next_look(count: int) -> int | None:
    """The next number of pairs at which a sequential comparison is evaluated, None after the last.

    Parameters
    ----------
    count
        Pairs there are.
    """
    return next((look for look in LOOKS if look > count), None)


def first_look(confidence: float = CONFIDENCE) -> int:
    """Pairs that a sequential comparison needs before it has an interval.

    Parameters
    ----------
    confidence
        Coverage wanted, between 0 and 1.
    """
    return _spending(1 - confidence)[0][0]


def signed_rank_p(logarithms: Sequence[float]) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that ratios exceed one, exact without ties.

    Parameters
    ----------
    logarithms
        Logarithms of ratios, at least one.
    """
    ranks = np.argsort(np.argsort(np.abs(logarithms))) + 1
    positive = int(ranks[np.asarray(logarithms) > 0].sum())
    counts = _rank_sum_counts(len(logarithms))
    return float(sum(counts[positive:]) / 2 ** len(logarithms))


def unpaired_ratio(
    old: Sequence[Sequence[float]],
    new: Sequence[Sequence[float]],
    confidence: float = CONFIDENCE,
) -> Interval:
    """Ratio ``new / old`` of measurements that were not taken in turns.

    Each process counts once, by the median of its measurements: processes of the same program
    differ by more than the passes within one do, and a hundred passes of one process say nothing
    about that.

    Parameters
    ----------
    old, new
        Positive measurements, one group for each process; no group is empty.
    confidence
        Coverage wanted, between 0 and 1.

    Returns
    -------
    Interval
        Hodges-Lehmann estimate with the exact interval of the rank-sum test; without ends where
        there are too few processes (at 95 %, fewer than four on each side).

    Raises
    ------
    ValueError
        A side has no measurements.

    References
    ----------
    M. Hollander, D. Wolfe and E. Chicken, "Nonparametric Statistical Methods", 3rd edition
    (2014), section 4.3.
    """
    if not old or not new:
        raise ValueError("a ratio needs measurements on both sides")
    first = [math.log(float(np.median(group))) for group in old]
    second = [math.log(float(np.median(group))) for group in new]
    differences = np.sort([after - before for after in second for before in first])
    middle, count = float(np.median(differences)), min(len(first), len(second))
    counts = _pair_counts(len(first), len(second))
    cut = _largest_cut(counts, (1 - confidence) / 2)
    if cut == 0:
        return Interval(math.exp(middle), None, None, count)
    low, high = float(differences[cut - 1]), float(differences[-cut])
    return Interval(math.exp(middle), math.exp(low), math.exp(high), count)


def _as_ratio(logarithms: Sequence[float], ends: tuple[float, float] | None) -> Interval:
    if not len(logarithms):
        raise ValueError("a ratio needs at least one pair")
    estimate = math.exp(float(np.median(_walsh_averages(logarithms))))
    if ends is None:
        return Interval(estimate, None, None, len(logarithms))
    low, high = (math.exp(end) for end in ends)
    # Pairs after the last look move the estimate, and may move it past the interval's end.
    return Interval(min(max(estimate, low), max(low, high)), low, high, len(logarithms))


def _signed_rank_ends(logarithms: Sequence[float], error: float) -> tuple[float, float] | None:
    """Ends of the signed-rank interval with two-sided error at most ``error``, if there is one."""
    cut = _largest_cut(_rank_sum_counts(len(logarithms)), error / 2)
    if cut == 0:
        return None
    averages = _walsh_averages(logarithms)
    return float(averages[cut - 1]), float(averages[-cut])


def _walsh_averages(
    values: Sequence[float],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means of all pairs, each value with itself included, sorted; shape (n (n + 1) / 2,)."""
    array = np.asarray(values, float)
    first, second = np.triu_indices(len(array))
    averages: np.ndarray[tuple[int], np.dtype[np.float64]] = (array[first] + array[second]) / 2
    return np.sort(averages)


def _largest_cut(counts: Sequence[int], tail: float) -> int:
    """How many ordered averages may be cut off at each end with probability at most ``tail``.

    ``counts[s]`` is the number of equally likely arrangements in which the statistic is ``s``.
    """
    total, below, cut = sum(counts), 0, 0
    for number in counts:
        below += number
        if below > tail * total:
            break
        cut += 1
    return cut


@lru_cache(maxsize=128)
def _rank_sum_counts(count: int) -> tuple[int, ...]:
    """Subsets of the ranks 1 to ``count`` by their sum, from 0 up."""
    counts = [1] + [0] * (count * (count + 1) // 2)
    for rank in range(1, count + 1):
        for total in range(len(counts) - 1, rank - 1, -1):
            counts[total] += counts[total - rank]
    return tuple(counts)


@lru_cache(maxsize=128)
def _pair_counts(first: int, second: int) -> tuple[int, ...]:
    """Arrangements of two samples by the number of pairs in which the second is smaller."""
    # Mann and Whitney's recurrence; row n holds the counts for samples of sizes (i, n).
    table = [[1] for _ in range(first + 1)]
    for n in range(1, second + 1):
        row = [[1]]
        for m in range(1, first + 1):
            counts = [0] * (m * n + 1)
            for total, number in enumerate(table[m]):
                counts[total] += number
            for total, number in enumerate(row[m - 1]):
                counts[total + n] += number
            row.append(counts)
        table = row
    return tuple(table[first])


@lru_cache(maxsize=16)
def _spending(error: float) -> tuple[tuple[int, float], ...]:
    """Looks with the two-sided error that each may make; together at most ``error``.

    The first look that can give an interval gets what its narrowest one costs, which is the
    range of all pairs: large gains are what a tuning mostly finds, and they need no more. Each
    later look gets half of what is left, and what it cannot spend goes to the next.
    """
    left = error
    spent: list[tuple[int, float]] = []
    for count in LOOKS:
        wanted = left if not spent else left / 2
        narrowest = 2.0 / 2**count
        granted = narrowest if not spent else wanted
        if granted > wanted:
            continue
        counts = _rank_sum_counts(count)
        used = 2.0 * sum(counts[: _largest_cut(counts, granted / 2)]) / 2**count
        if used == 0:
            continue
        spent.append((count, used))
        left -= used
    return tuple(spent)
