"""Exact, distribution-free confidence intervals for small numbers of measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import bdtr

from perfkit.stats.interval import CONFIDENCE, Interval

LOOKS = (6, 9, 12, 16, 24, 32, 48, 64)
"""Numbers of pairs at which a sequential comparison is evaluated. Six is the smallest number that
can reach 95 % for a median: 1 - 2 / 2^6 = 0.969."""


def median_interval(values: Sequence[float]) -> Interval:
    """Sample median with the exact interval between two order statistics.

    The interval covers the median of any continuous distribution with a probability of at least
    :data:`perfkit.stats.interval.CONFIDENCE`, if the values are independent. Passes of one process
    are not independent: give one value per process.

    Parameters
    ----------
    values
        Measurements, shape (n,), at least one.

    Returns
    -------
    Interval
        In the unit of the values; without ends if there are too few values (fewer than six at
        95 %).

    Raises
    ------
    ValueError
        ``values`` is empty.

    References
    ----------
    W. J. Conover, "Practical Nonparametric Statistics", 3rd edition (1999), section 3.2.
    """
    if not len(values):
        raise ValueError("a median needs at least one value")
    ordered = sorted(float(value) for value in values)
    count, middle = len(ordered), float(np.median(ordered))
    # Largest number of values to cut off at each end such that P(Binomial(n, 1/2) < cut) <= tail.
    tail = (1 - CONFIDENCE) / 2
    cut = 0
    while bdtr(cut, count, 0.5) <= tail:
        cut += 1
    if cut == 0:
        return Interval(middle, None, None, count)
    return Interval(middle, ordered[cut - 1], ordered[count - cut], count)


def median_uncertainty(values: Sequence[float]) -> float:
    """Half the width of the interval of a median, as a share of the median.

    This serves to decide when to stop repeating, not to be shown: with fewer than six values it
    is half their range, which covers less than 95 %.

    Parameters
    ----------
    values
        Positive measurements, shape (n,), at least one.
    """
    found = median_interval(values)
    low, high = found.ends or (min(values), max(values))
    return (high - low) / 2 / found.median


def log_ratios(baseline: Sequence[float], candidate: Sequence[float]) -> list[float]:
    """Natural logarithms of ``baseline / candidate``, pair by pair.

    Interleaved measurements share the drift of the machine, which cancels in the ratio of a pair
    (T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013).

    Parameters
    ----------
    baseline, candidate
        Positive measurements, shape (n,) each; equal positions form a pair.

    Raises
    ------
    ValueError
        The numbers of measurements differ.
    """
    if len(baseline) != len(candidate):
        raise ValueError("pairs need the same number of measurements on each side")
    pairs = zip(baseline, candidate, strict=True)
    return [math.log(first / second) for first, second in pairs]


def paired_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> Interval:
    """Speed-up of the candidate over the baseline, from a number of pairs fixed in advance.

    Parameters
    ----------
    baseline, candidate
        Positive measurements, shape (n,) each, one per process; equal positions form a pair.

    Returns
    -------
    Interval
        Hodges-Lehmann estimate of ``baseline / candidate`` with the exact interval of Wilcoxon's
        signed-rank test; without ends if there are too few pairs (fewer than six at 95 %).

    Raises
    ------
    ValueError
        The numbers of measurements differ, or there are no pairs.

    See Also
    --------
    sequential_ratio : For a series that is evaluated while it grows.
    """
    logarithms = log_ratios(baseline, candidate)
    return _as_ratio(logarithms, _signed_rank_ends(logarithms, 1 - CONFIDENCE))


def sequential_ratio(logarithms: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Ratio from a series of pairs that may grow, with an interval valid under any stopping rule.

    The series is evaluated at fixed numbers of pairs, the looks (:data:`LOOKS`). The error
    probability is divided among the looks in advance, so that all intervals of a series cover the
    true ratio together with probability ``confidence`` or more. Coverage therefore does not suffer
    if measuring stops because the interval is narrow enough or the budget is spent, or continues
    later. The interval is the intersection of the intervals of all looks so far.

    Parameters
    ----------
    logarithms
        Logarithms of ratios in order of measurement, shape (n,), one per pair of processes. They
        must be independent and symmetric about the true value, which holds if both sides have
        the same noise.
    confidence
        Nominal coverage, between 0 and 1.

    Returns
    -------
    Interval
        Hodges-Lehmann estimate from all pairs. Without ends before the first look that can have
        an interval, and if the intervals of the looks contradict each other. ``count`` is the
        number of all pairs.

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
        # The machine changed during the series: no single ratio explains the measurements.
        ends = None
    return _as_ratio(logarithms, ends)


def next_look(count: int) -> int | None:
    """Next number of pairs at which a sequential comparison is evaluated; None after the last.

    Parameters
    ----------
    count
        Number of pairs measured so far.
    """
    return next((look for look in LOOKS if look > count), None)


def first_look(confidence: float = CONFIDENCE) -> int:
    """Number of pairs that a sequential comparison needs before it has an interval.

    Parameters
    ----------
    confidence
        Nominal coverage, between 0 and 1.
    """
    return _spending(1 - confidence)[0][0]


def signed_rank_p(logarithms: Sequence[float]) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that ratios exceed 1; exact without ties.

    Parameters
    ----------
    logarithms
        Logarithms of ratios, shape (n,), at least one.
    """
    ranks = np.argsort(np.argsort(np.abs(logarithms))) + 1
    positive = int(ranks[np.asarray(logarithms) > 0].sum())
    counts = _rank_sum_counts(len(logarithms))
    return float(sum(counts[positive:]) / 2 ** len(logarithms))


def unpaired_ratio(old: Sequence[Sequence[float]], new: Sequence[Sequence[float]]) -> Interval:
    """Ratio ``new / old`` of measurements that were not interleaved.

    Each process counts once, by the median of its measurements. Processes of one program differ
    by more than the passes within a process, and more passes of one process do not show by how
    much.

    Parameters
    ----------
    old, new
        Positive measurements, one group per process; no group is empty.

    Returns
    -------
    Interval
        Hodges-Lehmann estimate with the exact interval of the rank-sum test; without ends if
        there are too few processes (fewer than four on each side at 95 %).

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
    cut = _largest_cut(counts, (1 - CONFIDENCE) / 2)
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
    # Pairs after the last look move the estimate, possibly past an end of the interval.
    return Interval(min(max(estimate, low), max(low, high)), low, high, len(logarithms))


def _signed_rank_ends(logarithms: Sequence[float], error: float) -> tuple[float, float] | None:
    """Ends of the signed-rank interval with a two-sided error of at most ``error``, if any."""
    cut = _largest_cut(_rank_sum_counts(len(logarithms)), error / 2)
    if cut == 0:
        return None
    averages = _walsh_averages(logarithms)
    return float(averages[cut - 1]), float(averages[-cut])


def _walsh_averages(
    values: Sequence[float],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sorted means of all pairs, including each value with itself; shape (n (n + 1) / 2,)."""
    array = np.asarray(values, float)
    first, second = np.triu_indices(len(array))
    averages: np.ndarray[tuple[int], np.dtype[np.float64]] = (array[first] + array[second]) / 2
    return np.sort(averages)


def _largest_cut(counts: Sequence[int], tail: float) -> int:
    """Number of ordered averages to cut off at each end with a probability of at most ``tail``.

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
    """Number of subsets of the ranks 1 to ``count``, indexed by their sum."""
    counts = [1] + [0] * (count * (count + 1) // 2)
    for rank in range(1, count + 1):
        for total in range(len(counts) - 1, rank - 1, -1):
            counts[total] += counts[total - rank]
    return tuple(counts)


@lru_cache(maxsize=128)
def _pair_counts(first: int, second: int) -> tuple[int, ...]:
    """Arrangements of two samples, indexed by the number of pairs whose second value is smaller."""
    # Recurrence of Mann and Whitney; row n holds the counts for samples of sizes (i, n).
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
    """Looks with the two-sided error granted to each; the errors add up to ``error`` at most.

    The first look that can have an interval gets the error of its widest one, the range of all
    pairs: most gains that tuning finds are large, and this interval is enough for them. Each
    later look gets half of the remaining error. The part that a look cannot spend goes to the
    next one.
    """
    left = error
    spent: list[tuple[int, float]] = []
    for count in LOOKS:
        wanted = left if not spent else left / 2
        widest = 2.0 / 2**count
        granted = widest if not spent else wanted
        if granted > wanted:
            continue
        counts = _rank_sum_counts(count)
        used = 2.0 * sum(counts[: _largest_cut(counts, granted / 2)]) / 2**count
        if used == 0:
            continue
        spent.append((count, used))
        left -= used
    return tuple(spent)
