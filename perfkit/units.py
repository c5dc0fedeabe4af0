"""Format numbers for readers, and parse durations and sizes that users write."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from perfkit.errors import UserError
from perfkit.printable import printable
from perfkit.stats.interval import Interval

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S

LONGEST_S = 1e11
"""About 3,000 years in seconds. A longer duration is a typing error."""

LARGEST_BYTES = 10**18
"""Largest size that is accepted."""

GIGA = 1e9
"""Decimal prefix: bytes per GB, FLOP per GFLOP."""

DURATION_FORMS = "90s, 15m, 1h30m, 2d, 36:00:00 or 2-00:00:00"
SIZE_FORMS = "512MiB, 64G or 64 GB"

_SECONDS: Mapping[str, float] = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE_S),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR_S),
    **dict.fromkeys(("d", "day", "days"), DAY_S),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY_S),
    "ms": 1e-3,
    "µs": 1e-6,
}

_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BINARY = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_BYTES: Mapping[str, int] = {
    **_DECIMAL,
    **{f"{prefix}b": factor for prefix, factor in _DECIMAL.items()},
    **{f"{prefix}i": factor for prefix, factor in _BINARY.items()},
    **{f"{prefix}ib": factor for prefix, factor in _BINARY.items()},
    **dict.fromkeys(("byte", "bytes"), 1),
}

SHOWN_CHARACTERS = 60
"""Most characters of a bad value that a message quotes."""

_DIGITS = 30
"""Most digits of a number in user input, which bounds the values computed from it."""

_NUMBER = rf"(\d{{1,{_DIGITS}}}(?:[.,]\d{{0,{_DIGITS}}})?|[.,]\d{{1,{_DIGITS}}})"
_PART = re.compile(rf"\s*{_NUMBER}\s*([a-zµ]*)\s*", re.ASCII)
_CLOCK = re.compile(
    rf"\s*(?:(?P<days>\d{{1,{_DIGITS}}})-)?(?P<fields>\d{{1,{_DIGITS}}}(?::\d\d?){{0,2}})\s*",
    re.ASCII,
)

_SECOND_UNITS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def seconds_text(seconds: float) -> str:
    """Format a duration: ``412 ms``, ``5.31 s``, ``4 min 12 s``, ``1 h 52 min``.

    Durations below a minute have three significant digits. Longer ones have two units, rounded to
    the smaller.

    Parameters
    ----------
    seconds
        Duration in seconds, at least 0.
    """
    scale = _scale(seconds)
    if scale is not None:
        factor, unit = scale
        return f"{_three_digits(seconds / factor)} {unit}"
    whole = round(seconds)
    if whole < HOUR_S:
        return _two_units(whole, MINUTE_S, "min", 1, "s")
    whole = round(seconds / MINUTE_S) * MINUTE_S
    if whole < 2 * DAY_S:
        return _two_units(whole, HOUR_S, "h", MINUTE_S, "min")
    return _two_units(round(seconds / HOUR_S) * HOUR_S, DAY_S, "d", HOUR_S, "h")


def parse_duration(text: str, *, bare_s: float = 1.0) -> float:
    """Parse a duration in any of these forms.

    - Numbers with units, largest unit first: ``90s``, ``15 min``, ``1h30m``, ``2 days 4 h``.
    - Hours, minutes and seconds: ``36:00:00``.
    - Slurm's forms: days first (``2-00:00:00``, ``2-12``), or minutes and seconds (``30:00``).

    Parameters
    ----------
    text
        The duration.
    bare_s
        Length in seconds of the unit of a number without a unit.

    Returns
    -------
    float
        Duration in seconds.

    Raises
    ------
    UserError
        The text is not a duration, or the duration is zero or longer than :data:`LONGEST_S`.
    """
    # Case folding makes a Greek letter of the micro sign.
    plain = _spaced(text).casefold().replace("μ", "µ")
    seconds = _clock_s(plain)
    if seconds is None:
        seconds = _parts_s(plain, bare_s)
    if seconds is None:
        raise UserError(f"{cut(text)!r} is not a duration; write for example {DURATION_FORMS}")
    return _within(seconds, LONGEST_S, text, "duration", "3,000 years")


def _clock_s(text: str) -> float | None:
    """Seconds of a text with colons, or with a dash after the days; None for any other text."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    days, fields = found["days"], [int(field) for field in found["fields"].split(":")]
    if days is None and len(fields) == 1:
        return None
    if any(field >= 60 for field in fields[1:]) or (days is not None and fields[0] >= 24):
        return None
    from_hours = days is not None or len(fields) == 3
    scales = (HOUR_S, MINUTE_S, 1) if from_hours else (MINUTE_S, 1)
    rest = sum(field * scale for field, scale in zip(fields, scales, strict=False))
    return float(int(days or 0) * DAY_S + rest)


def _parts_s(text: str, bare_s: float) -> float | None:
    """Seconds of numbers with units in descending order; None for any other text."""
    total, position, before = 0.0, 0, float("inf")
    while position < len(text):
        found = _PART.match(text, position)
        amount = None if found is None else _amount(found[1])
        if found is None or amount is None or found[2] not in _SECONDS:
            return None
        alone = found.end() - found.start() == len(text)
        if not found[2] and not alone:
            return None
        scale = _SECONDS[found[2]] if found[2] else bare_s
        if scale >= before:
            return None
        total, position, before = total + amount * scale, found.end(), scale
    return total if position else None


def parse_size(text: str) -> int:
    """Parse a size in bytes, in the forms that Slurm and Kubernetes also accept.

    Units without an ``i`` are decimal: ``64G`` and ``64 GB`` are 64,000,000,000 bytes. Units with
    an ``i`` are binary: ``64GiB`` and ``64Gi`` are 64 · 2³⁰ bytes. A number without a unit is in
    bytes.

    Parameters
    ----------
    text
        The size.

    Returns
    -------
    int
        Size in bytes, rounded down.

    Raises
    ------
    UserError
        The text is not a size, or the size is zero or larger than :data:`LARGEST_BYTES`.
    """
    found = _PART.fullmatch(_spaced(text).casefold())
    amount = None if found is None else _amount(found[1])
    if found is None or amount is None or found[2] not in _BYTES:
        raise UserError(f"{cut(text)!r} is not a size; write for example {SIZE_FORMS}")
    whole = math.floor(amount * _BYTES[found[2]])
    return int(_within(whole, LARGEST_BYTES, text, "size", "1,000 PB"))


def parse_number(text: str) -> float | None:
    """Parse a number with a decimal point or a decimal comma.

    Returns
    -------
    float or None
        None if the text is not a number, or if it is ambiguous, as ``1,500`` is.
    """
    found = re.fullmatch(rf"\s*([+-]?){_NUMBER}\s*", text, re.ASCII)
    amount = None if found is None else _amount(found[2])
    return None if found is None or amount is None else amount * (-1 if found[1] == "-" else 1)


def _spaced(text: str) -> str:
    """The text with single plain spaces. Spreadsheets write no-break spaces."""
    return " ".join(text.split())


def _amount(number: str) -> float | None:
    if re.fullmatch(r"\d{1,3},\d{3}", number):
        return None
    return float(number.replace(",", "."))


def _within(amount: float, most: float, text: str, quantity: str, most_text: str) -> float:
    if amount <= 0:
        raise UserError(f"a {quantity} of {cut(text)} is too small; give a larger one")
    if amount > most:
        raise UserError(f"a {quantity} of {cut(text)} is too large; give at most {most_text}")
    return amount


def cut(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Make a text fit for a message: control characters are escaped, and a long text is cut.

    Parameters
    ----------
    text
        Any text.
    most
        Most characters to show; ``...`` replaces the rest.
    """
    escaped = printable(text.strip())
    return escaped if len(escaped) <= most else f"{escaped[:most]}..."


def seconds_interval_text(interval: Interval) -> str:
    """Format a duration with its interval in one unit: ``5.31 s [5.28, 5.40]``.

    Parameters
    ----------
    interval
        Duration in seconds; without an interval only the estimate is shown.
    """
    median = seconds_text(interval.median)
    if interval.ends is None:
        return median
    scale = _scale(interval.median)
    if scale is None:
        low, high = map(seconds_text, interval.ends)
    else:
        low, high = (_three_digits(end / scale[0]) for end in interval.ends)
    return f"{median} [{low}, {high}]"


def bytes_text(count: float) -> str:
    """Format a number of bytes in decimal units: ``3.0 GB`` is 3,000,000,000 bytes."""
    # From 999.5 on, a value would be rounded to 1000 of its unit.
    power = next(
        (power for power in range(len(_BYTE_UNITS)) if count < 999.5 * 1000**power),
        len(_BYTE_UNITS) - 1,
    )
    value = count / 1000**power
    digits = 0 if power == 0 or value >= 99.95 else 1
    return f"{value:.{digits}f} {_BYTE_UNITS[power]}"


def percent_text(fraction: float, *, signed: bool = False) -> str:
    """Format a share as a percentage: ``92 %``, with one decimal below ten.

    Parameters
    ----------
    fraction
        The share; 1 is 100 %.
    signed
        Whether to show a plus sign as well.
    """
    value = 100 * fraction
    digits = 0 if abs(value) >= 9.95 or value == 0 else 1
    return f"{value:{'+' if signed else ''}.{digits}f} %"


def ratio_text(interval: Interval) -> str:
    """Format a ratio with its interval, if it has one: ``4.12x [3.98, 4.30]``."""
    if interval.ends is None:
        return f"{interval.median:.2f}x"
    low, high = interval.ends
    return f"{interval.median:.2f}x [{low:.2f}, {high:.2f}]"


def distance_text(distance: float) -> str:
    """Format a dimensionless distance between outputs with two significant digits."""
    return f"{distance:.2g}"


def value_text(value: float, unit: str) -> str:
    """Format a value by its unit.

    Parameters
    ----------
    value
        The value.
    unit
        ``seconds``, ``bytes``, ``relative distance``, or any other unit, which is not shown.
    """
    known = {"seconds": seconds_text, "bytes": bytes_text, "relative distance": distance_text}
    return known[unit](value) if unit in known else f"{value:.4g}"


def count_text(count: int, noun: str) -> str:
    """Format a count with its noun: ``1 trial``, ``2 trials``.

    Parameters
    ----------
    count
        The count.
    noun
        Singular of a noun whose plural ends in *s*.
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _scale(seconds: float) -> tuple[float, str] | None:
    """Length in seconds and name of the unit for a duration below a minute; None for others."""
    for factor, unit in _SECOND_UNITS[:-1]:
        # From 999.5 on, a value would be rounded to 1000 of this unit.
        if seconds < 999.5 * factor:
            return factor, unit
    return _SECOND_UNITS[-1] if seconds < MINUTE_S - 0.05 else None


def _three_digits(value: float) -> str:
    if value == 0:
        return "0"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"


def _two_units(whole_s: int, large_s: int, large: str, small_s: int, small: str) -> str:
    count, rest = divmod(whole_s, large_s)
    text = f"{count} {large}"
    return f"{text} {rest // small_s} {small}" if rest else text
