"""Numbers as text for people: seconds, bytes, shares, ratios, and intervals around them."""

from __future__ import annotations

from perfkit.stats.interval import Interval

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S

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
