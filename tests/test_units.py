"""Numbers read as a person would write them, also where rounding crosses a unit."""

from __future__ import annotations

import pytest

from perfkit.stats.interval import Interval
from perfkit.units import (
    bytes_text,
    distance_text,
    percent_text,
    ratio_text,
    seconds_interval_text,
    seconds_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.0000123, "12.3 µs"),
        (0.412, "412 ms"),
        (0.0412, "41.2 ms"),
        (0.00412, "4.12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (5.314, "5.31 s"),
        (9.996, "10.0 s"),
        (53.14, "53.1 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (252.0, "4 min 12 s"),
        (119.7, "2 min"),
        (3599.7, "1 h"),
        (6720.0, "1 h 52 min"),
        (3600.0 * 47, "47 h"),
        (3600.0 * 76, "3 d 4 h"),
    ],
)
def test_a_duration_has_three_digits_or_two_units(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(5.314, 5.281, 5.4, 6), "5.31 s [5.28, 5.40]"),
        (Interval(0.998, 0.99, 1.02, 6), "998 ms [990, 1020]"),
        (Interval(252.0, 240.0, 263.0, 6), "4 min 12 s [4 min, 4 min 23 s]"),
        (Interval(5.314, None, None, 1), "5.31 s"),
    ],
)
def test_an_interval_of_durations_shares_the_unit(interval: Interval, text: str) -> None:
    assert seconds_interval_text(interval) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (412_000_000, "412 MB"),
        (41_200_000, "41.2 MB"),
        (999_600_000, "1.0 GB"),
        (3_000_000_000, "3.0 GB"),
        (16_700_000_000, "16.7 GB"),
        (2_500_000_000_000, "2.5 TB"),
        (5_000_000_000_000_000_000, "5000 PB"),
    ],
)
def test_bytes_are_decimal(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.92, "92 %"), (0.004, "0.4 %"), (0.0, "0 %"), (0.0996, "10 %")]
)
def test_a_share_is_a_percentage(fraction: float, text: str) -> None:
    assert percent_text(fraction) == text


def test_a_signed_share_shows_its_sign() -> None:
    assert percent_text(0.042, signed=True) == "+4.2 %"
    assert percent_text(-0.25, signed=True) == "-25 %"


def test_a_ratio_carries_its_interval_where_it_has_one() -> None:
    assert ratio_text(Interval(4.12, 3.98, 4.3, 5)) == "4.12x [3.98, 4.30]"
    assert ratio_text(Interval(4.12, None, None, 1)) == "4.12x"


def test_a_distance_has_two_significant_digits() -> None:
    assert distance_text(0.00412) == "0.0041"
    assert distance_text(0.0) == "0"
