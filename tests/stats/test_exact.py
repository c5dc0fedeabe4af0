"""Exact intervals agree with values worked out by hand, with SciPy, and with simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from perfkit.stats.exact import (
    LOOKS,
    first_look,
    log_ratios,
    median_interval,
    median_uncertainty,
    next_look,
    paired_ratio,
    sequential_ratio,
    signed_rank_p,
    unpaired_ratio,
)
from perfkit.stats.interval import Interval

TIMES = st.lists(st.floats(0.1, 100.0), min_size=6, max_size=12)


def test_the_median_is_the_middle_value_or_the_mean_of_the_middle_two() -> None:
    assert median_interval([3.0, 1.0, 2.0]).median == 2.0
    assert median_interval([4.0, 1.0, 2.0, 3.0]).median == 2.5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_fewer_than_six_values_have_a_median_and_no_interval(count: int) -> None:
    found = median_interval([7.0] * count)
    assert (found.median, found.low, found.high, found.count) == (7.0, None, None, count)
    assert paired_ratio([2.0] * count, [1.0] * count).ends is None


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Order statistics of the 95 % interval for a median: Conover, "Practical Nonparametric
    # Statistics", table A3 with p = 1/2.
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (12, 3, 10), (20, 6, 15)],
)
def test_the_interval_of_a_median_matches_published_order_statistics(
    count: int, low: int, high: int
) -> None:
    found = median_interval([float(number) for number in range(count, 0, -1)])
    assert found.ends == (float(low), float(high))


def test_the_interval_of_six_pairs_is_the_range_of_their_ratios() -> None:
    found = paired_ratio([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0] * 6)
    assert found.ends == pytest.approx((1.0, 6.0))


def test_pairs_are_compared_pair_by_pair() -> None:
    assert log_ratios([2.0, 20.0], [1.0, 10.0]) == [math.log(2.0)] * 2
    # Ratios 2, 3 and 4 and their geometric means in pairs: 2, sqrt 6, sqrt 8, 3, sqrt 12, 4.
    assert paired_ratio([4.0, 9.0, 8.0], [2.0, 3.0, 2.0]).median == pytest.approx(
        math.sqrt(math.sqrt(8.0) * 3.0)
    )


def test_unequal_numbers_and_empty_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="the same number"):
        paired_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one"):
        paired_ratio([], [])
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])
    with pytest.raises(ValueError, match="both sides"):
        unpaired_ratio([], [[1.0]])


@given(st.lists(st.floats(-1.0, 1.0).filter(bool), min_size=3, max_size=12, unique_by=abs))
@settings(max_examples=60, deadline=None)
def test_the_p_value_equals_that_of_scipy(logarithms: list[float]) -> None:
    expected = wilcoxon(logarithms, alternative="greater", method="exact").pvalue
    assert signed_rank_p(logarithms) == pytest.approx(expected)


@given(TIMES)
@settings(max_examples=50, deadline=None)
def test_the_interval_contains_the_median_and_lies_within_the_range(values: list[float]) -> None:
    interval = median_interval(values)
    assert interval.ends is not None
    low, high = interval.ends
    assert min(values) <= low <= interval.median <= high <= max(values)


@given(TIMES, st.sampled_from([0.5, 2.0, 4.0, 1024.0]))
@settings(max_examples=50, deadline=None)
def test_the_interval_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    interval = median_interval(values)
    scaled = median_interval([value * factor for value in values])
    assert interval.ends is not None
    # Powers of two scale without rounding.
    assert scaled.median == interval.median * factor
    assert scaled.ends == (interval.ends[0] * factor, interval.ends[1] * factor)


@given(TIMES)
@settings(max_examples=50, deadline=None)
def test_a_program_is_as_fast_as_itself(values: list[float]) -> None:
    assert paired_ratio(values, values) == Interval(1.0, 1.0, 1.0, len(values))


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=6, max_size=9))
@settings(max_examples=50, deadline=None)
def test_swapping_the_sides_inverts_the_ratio(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    ratio, swapped = paired_ratio(first, second), paired_ratio(second, first).inverse
    assert swapped.median == pytest.approx(ratio.median)
    assert swapped.ends == pytest.approx(ratio.ends)


def test_each_process_counts_once_regardless_of_its_passes() -> None:
    old = [[1.0] * 100, [1.1] * 3, [1.2], [1.3]]
    found = unpaired_ratio(old, [[2.0], [2.2], [2.4], [2.6]])
    assert found.count == 4
    # One of the 70 arrangements of four and four is at each extreme. Their share is 2 / 70 = 0.029,
    # so the interval is the range of all sixteen ratios, from 2.0 / 1.3 to 2.6 / 1.0.
    assert found.ends == pytest.approx((2.0 / 1.3, 2.6 / 1.0))
    assert found.median == pytest.approx(2.0, rel=0.01)


def test_three_processes_on_a_side_give_no_interval() -> None:
    assert unpaired_ratio([[1.0], [1.0], [1.0]], [[2.0], [2.0], [2.0], [2.0]]).ends is None


def test_a_series_is_evaluated_at_fixed_numbers_of_pairs() -> None:
    assert [next_look(count) for count in (0, 5, 6, 8, 63, 64)] == [6, 6, 9, 9, 64, None]
    five, six = [0.1] * 5, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert sequential_ratio(five).ends is None
    assert sequential_ratio(six).ends == pytest.approx((math.exp(0.1), math.exp(0.6)))
    # Eight pairs are not a look: the interval stays the same, and the count grows.
    more = sequential_ratio([*six, 0.1, 0.1])
    assert more.ends == pytest.approx((math.exp(0.1), math.exp(0.6)))
    assert more.count == 8


def test_the_intervals_of_all_looks_cover_together() -> None:
    """Coverage is 95 % even if measuring stops at the worst look: 1,500 series of up to 24 pairs.

    The errors of the looks add up to less than 5 %, so at most 75 misses are expected. More than
    108 misses (four standard errors above) have a probability below 1e-4.
    """
    generator = np.random.default_rng(1)
    missed = 0
    for _ in range(1500):
        series = (generator.standard_t(3, 24) * 0.05).tolist()
        looks = [look for look in LOOKS if look <= 24]
        missed += any(sequential_ratio(series[:look]).excludes(1.0) for look in looks)
    assert missed <= 108


def test_looks_that_contradict_each_other_give_no_interval() -> None:
    before, after = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15], [-0.2 - 0.001 * n for n in range(26)]
    assert sequential_ratio(before).ends is not None
    assert sequential_ratio([*before, *after]).ends is None


def test_a_higher_confidence_postpones_the_first_look() -> None:
    # The most that six pairs can reach is 96.9 %, nine 99.6 %, twelve 99.95 %.
    assert [first_look(one) for one in (0.95, 0.975, 0.997)] == [6, 9, 12]


def test_a_higher_confidence_needs_more_pairs() -> None:
    series = [0.1] * 6
    assert sequential_ratio(series, 0.95).ends is not None
    assert sequential_ratio(series, 0.975).ends is None


def test_an_inverse_swaps_the_ends() -> None:
    assert Interval(2.0, 1.0, 4.0, 5).inverse == Interval(0.5, 0.25, 1.0, 5)


def test_without_an_interval_nothing_is_certain() -> None:
    unknown = Interval(3.0, None, None, 2)
    assert not unknown.known
    assert not unknown.excludes(1.0)
    assert not unknown.surely_above(1.0)
    assert Interval(1.2, 1.01, 1.4, 6).surely_above(1.0)
    assert Interval(0.8, 0.7, 0.9, 6).surely_below(1.0)
    assert not Interval(1.2, 1.0, 1.4, 6).excludes(1.0)


def test_the_uncertainty_of_a_median_is_half_its_interval_or_half_the_range() -> None:
    assert median_uncertainty([9.0, 10.0, 12.0]) == pytest.approx(0.15)
    # The interval of nine values reaches from the second to the eighth: (11 - 9) / 2 / 10.
    nine = [1.0, 9.0, 9.0, 10.0, 10.0, 10.0, 11.0, 11.0, 99.0]
    assert median_uncertainty(nine) == pytest.approx(0.1)
