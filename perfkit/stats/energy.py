"""Do two sets of samples come from one distribution? A permutation test on distances alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_ARRANGEMENTS = 1 << 13
"""Arrangements up to which all are evaluated; of more, as many are drawn at random. The standard
error of a p-value of 0.05 is then 0.0024."""

SEED = 0
"""Seed of the random arrangements, so that a repeated test gives the same p-value."""


class EnergyTest(NamedTuple):
    """Result of :func:`energy_test`.

    Attributes
    ----------
    statistic
        Energy statistic, in the unit of the distances; 0 for equal sets.
    p_value
        Share of the arrangements with a statistic at least as large.
    smallest_p_value
        Smallest p-value that so many units can reach.
    paired
        Whether every unit has samples in both sets.
    """

    statistic: float
    p_value: float
    smallest_p_value: float
    paired: bool


def energy_test(
    distances: ArrayLike, is_second: Sequence[bool], units: Sequence[int]
) -> EnergyTest:
    """Test whether two sets of samples come from one distribution.

    Samples are arranged anew by *unit*: samples of one unit, such as those of one random seed, are
    not independent and stay together. If every unit has samples in both sets, an arrangement
    exchanges the two sets within some of the units; otherwise it deals out the units. Under the
    hypothesis that the sets have one distribution, all arrangements are equally likely, so the
    p-value is exact for any number of samples.

    Parameters
    ----------
    distances
        Distances between all samples of both sets, shape (n, n), symmetric.
    is_second
        For each sample, whether it is of the second set.
    units
        For each sample, the number of its unit.

    Raises
    ------
    ValueError
        A set is empty, or only some of the units have samples in both sets.

    References
    ----------
    G. J. Szekely and M. L. Rizzo, "Energy statistics: A class of statistics based on distances",
    Journal of Statistical Planning and Inference 143 (2013) 1249, equation 6.1. B. Phipson and
    G. K. Smyth, "Permutation P-values should never be zero", Statistical Applications in Genetics
    and Molecular Biology 9 (2010) 39, for arrangements that are drawn at random.
    """
    matrix = np.asarray(distances, np.float64)
    second = np.asarray(is_second, bool)
    numbers, index = np.unique(np.asarray(units), return_inverse=True)
    sides = [set(second[index == unit].tolist()) for unit in range(len(numbers))]
    if second.all() or not second.any():
        raise ValueError("a set is empty")
    paired = all(len(found) == 2 for found in sides)
    if not paired and any(len(found) == 2 for found in sides):
        raise ValueError("only some of the units have samples in both sets")
    if paired:
        moves, is_exact = _exchanges(len(numbers))
        arranged = second ^ moves[:, index]
    else:
        dealt, is_exact = _deals(np.array([found == {True} for found in sides]))
        arranged = dealt[:, index]
    statistics = _statistics(matrix, np.vstack([second, arranged]))
    observed, others = statistics[0], statistics[1:]
    # Rounding must not part arrangements with equal statistics.
    as_large = int(np.sum(others >= observed - 1e-9 * max(float(matrix.max()), 1e-300)))
    if not is_exact:
        smallest = 1 / (len(others) + 1)
        return EnergyTest(float(observed), (as_large + 1) * smallest, smallest, paired)
    # Two sets of as many units have the same statistic after they have changed their places.
    mirrored = not paired and sum(found == {True} for found in sides) * 2 == len(sides)
    smallest = (2 if mirrored else 1) / len(others)
    return EnergyTest(float(observed), as_large / len(others), smallest, paired)


def _exchanges(units: int) -> tuple[NDArray[np.bool_], bool]:
    """Return arrangements of pairs, shape (arrangements, units), and whether these are all.

    The first unit stays: exchanging all units gives the same statistic.
    """
    if 2 ** (units - 1) <= MOST_ARRANGEMENTS:
        free = list(itertools.product([False, True], repeat=units - 1))
        return np.array([(False, *row) for row in free], bool), True
    return np.random.default_rng(SEED).random((MOST_ARRANGEMENTS, units)) < 0.5, False


def _deals(is_second: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], bool]:
    """Return which units are of the second set in each arrangement, and whether these are all."""
    units, chosen = len(is_second), int(is_second.sum())
    if math.comb(units, chosen) <= MOST_ARRANGEMENTS:
        rows = list(itertools.combinations(range(units), chosen))
        dealt = np.zeros((len(rows), units), bool)
        np.put_along_axis(dealt, np.array(rows), True, axis=1)
        return dealt, True
    rng = np.random.default_rng(SEED)
    return rng.permuted(np.tile(is_second, (MOST_ARRANGEMENTS, 1)), axis=1), False


def _statistics(matrix: NDArray[np.float64], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the energy statistic of each arrangement, shape (arrangements,)."""
    of_second = second.astype(np.float64)
    of_first = 1 - of_second
    to_second = of_second @ matrix
    between = (to_second * of_first).sum(axis=1)
    within_second = (to_second * of_second).sum(axis=1)
    within_first = matrix.sum() - 2 * between - within_second
    first, last = of_first.sum(axis=1), of_second.sum(axis=1)
    energy = 2 * between / (first * last) - within_first / first**2 - within_second / last**2
    scaled: NDArray[np.float64] = energy * first * last / (first + last)
    return scaled
