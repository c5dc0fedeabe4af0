"""The permutation test of two sets of samples, on numbers on a line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import energy_distance

from perfkit.stats.energy import EnergyTest, energy_test


def on_a_line(first: list[float], second: list[float], *, paired: bool) -> EnergyTest:
    numbers = np.array([*first, *second])
    sides = [False] * len(first) + [True] * len(second)
    units = [*range(len(first)), *range(len(second))] if paired else list(range(len(numbers)))
    return energy_test(abs(numbers[:, None] - numbers[None]), sides, units)


def test_the_statistic_is_scipys_squared_energy_distance() -> None:
    first, second = [0.1, 0.9, 2.5, 1.0], [0.4, 3.0, 1.1]
    expected = energy_distance(first, second) ** 2 * (4 * 3) / (4 + 3)
    found = on_a_line(first, second, paired=False)
    assert found.statistic == pytest.approx(expected)


def test_sets_far_apart_have_the_smallest_p_value_that_there_is() -> None:
    apart = on_a_line([0, 0.1, 0.2, 0.3], [5, 5.1, 5.2, 5.3], paired=False)
    # Of the 70 ways to choose four of eight, only the given one and its mirror image part the sets.
    assert (apart.p_value, apart.smallest_p_value, apart.paired) == (2 / 70, 2 / 70, False)
    pairs = on_a_line([0, 0.1, 0.2, 0.3], [5, 5.1, 5.2, 5.3], paired=True)
    # The first pair stays, each of the other three may be exchanged: only one of eight parts them.
    assert (pairs.p_value, pairs.smallest_p_value, pairs.paired) == (1 / 8, 1 / 8, True)


def test_equal_sets_do_not_differ() -> None:
    same = on_a_line([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], paired=True)
    assert same.statistic == pytest.approx(0)
    assert same.p_value == 1


def test_many_units_are_arranged_at_random_and_never_reach_zero() -> None:
    numbers = [float(number) for number in range(20)]
    apart = on_a_line(numbers, [number + 100 for number in numbers], paired=True)
    assert 0 < apart.p_value == apart.smallest_p_value < 1 / 8000


def test_samples_of_one_seed_count_once() -> None:
    """Four samples of each of two seeds: the seeds differ, whatever the sets are."""
    numbers = np.repeat([0.0, 10.0], 4)
    distances = abs(numbers[:, None] - numbers[None])
    found = energy_test(distances, [False] * 4 + [True] * 4, [1] * 4 + [2] * 4)
    assert found.p_value == found.smallest_p_value == 1


def test_equal_distributions_are_called_different_as_seldom_as_stated() -> None:
    """Pairs that are correlated, as the structures of one seed are: 300 tests at 5 %."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        common = rng.normal(size=8)
        first, second = common + 0.3 * rng.normal(size=(2, 8))
        found.append(on_a_line(first.tolist(), second.tolist(), paired=True).p_value <= 0.05)
    # 15 are expected; more than 27 are seen with a probability of 0.2 %.
    assert 0 < sum(found) <= 27


def test_half_paired_units_and_empty_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="only some of the units"):
        energy_test(np.zeros((3, 3)), [False, True, True], [1, 1, 2])
    with pytest.raises(ValueError, match="a set is empty"):
        energy_test(np.zeros((2, 2)), [True, True], [1, 2])
