"""Medians, intervals and ratios, by hand and by property."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.stats.exact import median_interval, paired_ratio
from perfkit.stats.interval import Interval

TIMES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9)


def test_the_median_is_the_middle_value_or_the_mean_of_the_two() -> None:
    assert median_interval([3.0, 1.0, 2.0]).median == 2.0
    assert median_interval([4.0, 1.0, 2.0, 3.0]).median == 2.5


def test_one_value_is_its_own_interval() -> None:
    assert median_interval([7.0]) == Interval(7.0, 7.0, 7.0, 1)


def test_two_values_have_their_range_as_interval() -> None:
    # A resample of two holds the lesser twice, or the greater twice, in a quarter of cases each.
    assert median_interval([1.0, 3.0]) == Interval(2.0, 1.0, 3.0, 2)


def test_three_values_have_their_range_as_interval() -> None:
    # The median of a resample is the least value in 7 of 27 cases, more than a tail of 2.5 %.
    assert median_interval([1.0, 2.0, 10.0]) == Interval(2.0, 1.0, 10.0, 3)


def test_an_outlier_beyond_the_tail_does_not_reach_the_interval() -> None:
    # Of 9, the median is the greatest only when 5 or more draws are: far less than 2.5 %.
    interval = median_interval([1.0] * 8 + [100.0])
    assert interval == Interval(1.0, 1.0, 1.0, 9)


def test_a_narrower_confidence_gives_a_narrower_interval() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    wide, narrow = median_interval(values, 0.95), median_interval(values, 0.5)
    assert wide.low <= narrow.low <= 5.0 <= narrow.high <= wide.high
    # The median of 9 draws is 5.0 or a neighbour in over half of all resamples.
    assert (narrow.low, narrow.high) == (4.0, 6.0)


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        median_interval([])


def test_a_ratio_is_taken_pair_by_pair() -> None:
    # The machine becomes ten times slower in the middle; each pair says 2.
    assert paired_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == Interval(2.0, 2.0, 2.0, 3)
    # 4/2, 9/3, 8/2.
    assert paired_ratio([4.0, 9.0, 8.0], [2.0, 3.0, 2.0]).median == 3.0


def test_pairs_need_both_sides() -> None:
    with pytest.raises(ValueError, match="as many measurements on each side"):
        paired_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one value"):
        paired_ratio([], [])


def test_products_and_inverses_are_worked_out_by_hand() -> None:
    product = Interval(2.0, 1.0, 3.0, 5) * Interval(4.0, 2.0, 5.0, 3)
    assert product == Interval(8.0, 2.0, 15.0, 3)
    assert Interval(2.0, 1.0, 4.0, 5).inverse == Interval(0.5, 0.25, 1.0, 5)


def test_an_interval_excludes_what_lies_outside() -> None:
    interval = Interval(1.2, 1.0, 1.4, 3)
    assert not interval.excludes(1.0)
    assert not interval.excludes(1.4)
    assert interval.excludes(0.99)
    assert interval.excludes(1.5)


@given(TIMES)
@settings(max_examples=50, deadline=None)
def test_the_interval_holds_the_median_and_stays_in_the_range(values: list[float]) -> None:
    interval = median_interval(values)
    assert min(values) <= interval.low <= interval.median <= interval.high <= max(values)
    assert interval.count == len(values)


@given(TIMES, st.sampled_from([0.5, 2.0, 4.0, 1024.0]))
@settings(max_examples=50, deadline=None)
def test_the_interval_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    one, other = median_interval(values), median_interval([value * factor for value in values])
    # Powers of two scale without rounding.
    assert (other.median, other.low, other.high) == (
        one.median * factor,
        one.low * factor,
        one.high * factor,
    )


@given(TIMES, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_median_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert median_interval(shuffled).median == median_interval(values).median


@given(TIMES)
@settings(max_examples=50, deadline=None)
def test_a_thing_is_as_fast_as_itself(values: list[float]) -> None:
    assert paired_ratio(values, values) == Interval(1.0, 1.0, 1.0, len(values))


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=7))
@settings(max_examples=50, deadline=None)
def test_the_ratio_turned_round_is_the_inverse(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    ratio, turned = paired_ratio(first, second), paired_ratio(second, first).inverse
    if len(pairs) % 2:
        # Of an even number the median is a mean, which does not commute with 1/x.
        assert math.isclose(ratio.median, turned.median, rel_tol=1e-12)
    assert ratio.low > 0
