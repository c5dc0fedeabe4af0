"""Numbers as text for people, and durations and sizes that people write as numbers."""

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
"""Some 3,000 years: a longer duration is a slip of the keyboard."""

LARGEST_BYTES = 10**18

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
"""Of a bad value in a message."""

_DIGITS = 30
"""Of a number that a person writes; it bounds what is computed from it."""

_NUMBER = rf"(\d{{1,{_DIGITS}}}(?:[.,]\d{{0,{_DIGITS}}})?|[.,]\d{{1,{_DIGITS}}})"
_PART = re.compile(rf"\s*{_NUMBER}\s*([a-zµ]*)\s*", re.ASCII)
_CLOCK = re.compile(
    rf"\s*(?:(?P<days>\d{{1,{_DIGITS}}})-)?(?P<fields>\d{{1,{_DIGITS}}}(?::\d\d?){{0,2}})\s*",
    re.ASCII,
)

_SECOND_UNITS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def seconds_text(seconds: float) -> str:
    """A duration of at least 0 s, e.g. ``412 ms``, ``5.31 s``, ``4 min 12 s``, ``1 h 52 min``.

    Three significant digits up to a minute, whole units of the smaller of two beyond.
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
    """Seconds of a duration as people, clocks and Slurm write it.

    Numbers with units, largest unit first (``90s``, ``15 min``, ``1h30m``, ``2 days 4 h``); hours,
    minutes and seconds (``36:00:00``); or what Slurm takes and shows, days first (``2-00:00:00``,
    ``2-12``) or minutes and seconds (``30:00``).

    Parameters
    ----------
    bare_s
        Seconds of the unit of a number that stands alone.

    Raises
    ------
    UserError
        The text is no duration, or it is zero or absurdly long.
    """
    # Case folding makes a Greek letter of the micro sign.
    plain = _spaced(text).casefold().replace("μ", "µ")
    seconds = _clock_s(plain)
    if seconds is None:
        seconds = _parts_s(plain, bare_s)
    if seconds is None:
        raise UserError(f"{cut(text)!r} is no duration; write for example {DURATION_FORMS}")
    return _within(seconds, LONGEST_S, text, "duration", "3,000 years")


def _clock_s(text: str) -> float | None:
    """Seconds of fields with colons or of days with a dash, None for anything else."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    days, fields = found["days"], [int(each) for each in found["fields"].split(":")]
    if days is None and len(fields) == 1:
        return None
    if any(field >= 60 for field in fields[1:]) or (days is not None and fields[0] >= 24):
        return None
    from_hours = days is not None or len(fields) == 3
    scales = (HOUR_S, MINUTE_S, 1) if from_hours else (MINUTE_S, 1)
    rest = sum(field * scale for field, scale in zip(fields, scales, strict=False))
    return float(int(days or 0) * DAY_S + rest)


def _parts_s(text: str, bare_s: float) -> float | None:
    """Seconds of numbers with units, each unit smaller than the one before; None if it is none."""
    total, place, before = 0.0, 0, float("inf")
    while place < len(text):
        found = _PART.match(text, place)
        amount = None if found is None else _amount(found[1])
        if found is None or amount is None or found[2] not in _SECONDS:
            return None
        alone = found.end() - found.start() == len(text)
        if not found[2] and not alone:
            return None
        scale = _SECONDS[found[2]] if found[2] else bare_s
        if scale >= before:
            return None
        total, place, before = total + amount * scale, found.end(), scale
    return total if place else None


def parse_size(text: str) -> int:
    """Bytes of a size as people, Slurm and Kubernetes write it.

    Units without an ``i`` are decimal (``64G`` and ``64 GB`` are 64,000,000,000 bytes), those with
    one binary (``64GiB`` and ``64Gi`` are 64 · 2³⁰); a number alone is bytes.

    Raises
    ------
    UserError
        The text is no size, or it is zero or absurdly large.
    """
    found = _PART.fullmatch(_spaced(text).casefold())
    amount = None if found is None else _amount(found[1])
    if found is None or amount is None or found[2] not in _BYTES:
        raise UserError(f"{cut(text)!r} is no size; write for example {SIZE_FORMS}")
    whole = math.floor(amount * _BYTES[found[2]])
    return int(_within(whole, LARGEST_BYTES, text, "size", "1,000 PB"))


def parse_number(text: str) -> float | None:
    """A number with a decimal point or comma; None where it is none, or ``1,500`` leaves open
    which of the two it is."""
    found = re.fullmatch(rf"\s*([+-]?){_NUMBER}\s*", text, re.ASCII)
    amount = None if found is None else _amount(found[2])
    return None if found is None or amount is None else amount * (-1 if found[1] == "-" else 1)


def _spaced(text: str) -> str:
    """The text with plain spaces: spreadsheets write ones that do not break."""
    return " ".join(text.split())


def _amount(number: str) -> float | None:
    if re.fullmatch(r"\d{1,3},\d{3}", number):
        return None
    return float(number.replace(",", "."))


def _within(amount: float, most: float, text: str, what: str, most_text: str) -> float:
    if amount <= 0:
        raise UserError(f"a {what} of {cut(text)} leaves nothing to work with: give more")
    if amount > most:
        raise UserError(f"a {what} of {cut(text)} is beyond {most_text}: give less")
    return amount


def cut(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """The text for a message: control characters escaped, and cut where it has more characters
    than anybody wants to read."""
    plain = printable(text.strip())
    return plain if len(plain) <= most else f"{plain[:most]}..."


def seconds_interval_text(interval: Interval) -> str:
    """A duration in seconds with its interval, in one unit: ``5.31 s [5.28, 5.40]``.

    The median alone where there is no interval.
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
    """A number of bytes in decimal units: ``3.0 GB`` is 3,000,000,000 bytes."""
    # 999.5 of a unit would be shown as 1000 of it.
    place = next(
        (place for place in range(len(_BYTE_UNITS)) if count < 999.5 * 1000**place),
        len(_BYTE_UNITS) - 1,
    )
    value = count / 1000**place
    digits = 0 if place == 0 or value >= 99.95 else 1
    return f"{value:.{digits}f} {_BYTE_UNITS[place]}"


def percent_text(fraction: float, *, signed: bool = False) -> str:
    """A share as a percentage: ``92 %``, one decimal below ten; ``signed`` shows a plus too."""
    value = 100 * fraction
    digits = 0 if abs(value) >= 9.95 or value == 0 else 1
    return f"{value:{'+' if signed else ''}.{digits}f} %"


def ratio_text(interval: Interval) -> str:
    """A ratio with its interval: ``4.12x [3.98, 4.30]``; the estimate alone where there is none."""
    if interval.ends is None:
        return f"{interval.median:.2f}x"
    low, high = interval.ends
    return f"{interval.median:.2f}x [{low:.2f}, {high:.2f}]"


def distance_text(distance: float) -> str:
    """A distance between answers, without unit, to two significant digits."""
    return f"{distance:.2g}"


def value_text(value: float, unit: str) -> str:
    """A value in a unit that is named: seconds, bytes, relative distances, or any other."""
    known = {"seconds": seconds_text, "bytes": bytes_text, "relative distance": distance_text}
    return known[unit](value) if unit in known else f"{value:.4g}"


def _scale(seconds: float) -> tuple[float, str] | None:
    """Seconds a unit and its name, up to a minute; None beyond."""
    for factor, unit in _SECOND_UNITS[:-1]:
        # 999.5 would be shown as 1000 of this unit.
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
