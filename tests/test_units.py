"""Numbers are formatted for readers, and durations and sizes are parsed as users write them."""

from __future__ import annotations

import pytest

from perfkit.errors import UserError
from perfkit.stats.interval import Interval
from perfkit.units import (
    bytes_text,
    count_text,
    cut,
    distance_text,
    parse_duration,
    parse_number,
    parse_size,
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
def test_percentages_have_one_decimal_below_ten(fraction: float, text: str) -> None:
    assert percent_text(fraction) == text


def test_a_signed_percentage_shows_its_sign() -> None:
    assert percent_text(0.042, signed=True) == "+4.2 %"
    assert percent_text(-0.25, signed=True) == "-25 %"


def test_a_ratio_is_shown_with_its_interval_if_it_has_one() -> None:
    assert ratio_text(Interval(4.12, 3.98, 4.3, 5)) == "4.12x [3.98, 4.30]"
    assert ratio_text(Interval(4.12, None, None, 1)) == "4.12x"


def test_a_count_has_a_singular_and_a_plural() -> None:
    assert [count_text(count, "trial") for count in (0, 1, 2)] == [
        "0 trials",
        "1 trial",
        "2 trials",
    ]


def test_a_distance_has_two_significant_digits() -> None:
    assert distance_text(0.00412) == "0.0041"
    assert distance_text(0.0) == "0"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5m", 90),
        ("1,5 min", 90),
        (" 15 min ", 900),
        ("90 min", 5400),
        ("2H", 7200),
        ("1h30m", 5400),
        ("1 h 30 min", 5400),
        ("5m3s", 303),
        ("2 Days", 172_800),
        ("1w", 604_800),
        ("412 ms", 0.412),
        ("36:00:00", 129_600),
        ("1:02:03", 3723),
        ("30:00", 1800),
        ("2-00:00:00", 172_800),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("20\u00a0h", 72_000),
    ],
)
def test_durations_are_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("seconds", [0.412, 59.0, 303.0, 5400.0, 187_200.0])
def test_a_formatted_duration_is_parsed_back(seconds: float) -> None:
    assert parse_duration(seconds_text(seconds)) == pytest.approx(seconds)


def test_a_number_without_a_unit_is_in_the_default_unit() -> None:
    assert parse_duration("1.5", bare_s=86_400.0) == 129_600
    assert parse_duration("36h", bare_s=86_400.0) == 129_600


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "soon", "-5m", "1e3", "nan", "inf", "1h30", "30m1h", "1h1h", "1,500 s"),
        *("1:60:00", "1:00:75", "1-24:00:00", "1:2:3:4", "1--2", "-1-00:00", "5 m m", "٣", "1_0s"),
        "9" * 5000,
    ],
)
def test_any_other_text_is_refused_as_a_duration(text: str) -> None:
    with pytest.raises(UserError, match="is not a duration; write for example 90s, 15m") as refused:
        parse_duration(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7),
        ("10 bytes", 10),
        ("1.5kB", 1500),
        ("16GB", 16 * 10**9),
        ("64G", 64 * 10**9),
        ("64 GB", 64 * 10**9),
        ("64g", 64 * 10**9),
        ("64GiB", 64 * 2**30),
        ("64Gi", 64 * 2**30),
        ("512MiB", 512 * 2**20),
        ("0,5 TB", 5 * 10**11),
        ("64\u202fGB", 64 * 10**9),
    ],
)
def test_sizes_are_parsed(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "lots", "-1G", "1e9", "64 gigs", "64G 3M", "1,024 MB", "nan", "G", "9" * 5000]
)
def test_any_other_text_is_refused_as_a_size(text: str) -> None:
    with pytest.raises(UserError, match="is not a size; write for example 512MiB, 64G or 64 GB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.0h", "00:00:00"])
def test_a_duration_of_zero_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"a duration of {text} is too small; give a larger one"):
        parse_duration(text)


def test_absurdly_large_or_small_values_are_refused() -> None:
    with pytest.raises(
        UserError, match="a duration of 9999999w is too large; give at most 3,000 years"
    ):
        parse_duration("9999999w")
    with pytest.raises(UserError, match="a size of 1001PB is too large; give at most 1,000 PB"):
        parse_size("1001PB")
    with pytest.raises(UserError, match=r"a size of 0\.1B is too small"):
        parse_size("0.1B")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.25", 0.25), ("0,25", 0.25), ("-3", -3.0), ("1,500", None), ("1e3", None), ("x", None)],
)
def test_a_decimal_comma_is_accepted_unless_it_is_ambiguous(
    text: str, number: float | None
) -> None:
    assert parse_number(text) == number


def test_a_cut_text_escapes_control_characters_and_ends_in_dots() -> None:
    assert cut(" a\x1b[2J\n") == r"a\x1b[2J"
    assert cut("abcdef", 3) == "abc..."
