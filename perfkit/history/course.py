"""How each benchmark went over the commits: series, their steps, and what is a regression."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfkit.errors import MissingDependencyError
from perfkit.history.asv_results import AsvResult
from perfkit.history.snapshot import Entry, Kind
from perfkit.history.verdicts import (
    FACTOR,
    REGRESSIONS,
    Verdict,
    judge,
    judge_levels,
    missing_from_new,
)


@dataclass(frozen=True)
class Point:
    """One commit of a series; ``value`` is None where the benchmark failed or was skipped."""

    commit: str
    date_ms: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Step:
    """A stretch of points, ``first`` to ``last`` (both inclusive), that are level at ``value``."""

    first: int
    last: int
    value: float


@dataclass(frozen=True)
class Jump:
    """A rise from one step to the next, or the end of all numbers.

    Attributes
    ----------
    before, after
        Commits between which it came: the last of the old level and the first of the new.
    old, new
        The two levels; ``new`` is None where the benchmark has failed, was skipped or is missing
        ever since.
    """

    before: str
    after: str
    old: float
    new: float | None


@dataclass(frozen=True)
class Series:
    """One benchmark, with its parameters, on one machine in one environment.

    Attributes
    ----------
    benchmark, parameters
        ``af3.AlphaFold3Parts.time_steady`` and ``16, stock``.
    place
        Machine and environment.
    kind, unit
        As of the entries.
    points
        By date of the commit.
    steps
        The levels that asv's step detection finds.
    jumps
        The rises among them that count, and the loss of the last value where there is none now.
    """

    benchmark: str
    parameters: str
    place: str
    kind: Kind
    unit: str
    points: tuple[Point, ...]
    steps: tuple[Step, ...]
    jumps: tuple[Jump, ...]


def series_of_results(results: Sequence[AsvResult], factor: float = FACTOR) -> list[Series]:
    """The series of every benchmark, those whose kind matters most first.

    Parameters
    ----------
    results
        In order of their commits' dates.
    factor
        Rises of times and memory by less do not count.

    Raises
    ------
    MissingDependencyError
        asv is not installed.
    """
    found: dict[tuple[str, str], list[tuple[AsvResult, Entry]]] = defaultdict(list)
    places: dict[str, list[AsvResult]] = defaultdict(list)
    for result in results:
        place = f"{result.machine} ({result.environment})"
        places[place].append(result)
        for entry in result.snapshot.entries.values():
            found[entry.name, place].append((result, entry))
    series = [
        _series(name, place, [*kept, *_lacking(kept[-1], places[place])], factor)
        for (name, place), kept in found.items()
    ]
    order = list(Kind)
    return sorted(series, key=lambda one: (order.index(one.kind), one.benchmark))


def _lacking(
    last: tuple[AsvResult, Entry], of_place: Sequence[AsvResult]
) -> list[tuple[AsvResult, Entry]]:
    """The results since ``last`` in which its entry is missing and should not be."""
    result, entry = last
    none = dataclasses.replace(entry, value=math.nan, groups=(), low=None, high=None)
    later = of_place[of_place.index(result) + 1 :]
    lost = (one for one in later if missing_from_new(entry, one.snapshot) is Verdict.LOST)
    return [(one, none) for one in lost]


def _series(
    name: str, place: str, measured: Sequence[tuple[AsvResult, Entry]], factor: float
) -> Series:
    last = measured[-1][1]
    # Points of another version of the benchmark measured something else.
    same = [(result, entry) for result, entry in measured if entry.version == last.version]
    points = tuple(_point(result, entry) for result, entry in same)
    steps = _steps(points)
    benchmark, _, parameters = name.partition("(")
    rises = [
        Jump(points[old.last].commit, points[new.first].commit, old.value, new.value)
        for old, new in pairwise(steps)
        if judge_levels(old.value, new.value, last.kind, factor) in _COUNT
    ]
    return Series(
        benchmark,
        parameters.removesuffix(")"),
        place,
        last.kind,
        last.unit,
        points,
        steps,
        (*rises, *_loss(measured)),
    )


_COUNT = (Verdict.WORSE, Verdict.ANSWER_CHANGED, Verdict.ANSWER_CLOSER)
"""An answer may move either way only where a commit says so."""


def _loss(measured: Sequence[tuple[AsvResult, Entry]]) -> Iterator[Jump]:
    """The end of all numbers, if the last entry has none and one before it had."""
    # A failure of an older version of the benchmark is no point of the series.
    numbers = [place for place, (_, entry) in enumerate(measured) if entry.measured]
    if not numbers or numbers[-1] == len(measured) - 1:
        return
    (result, entry), last = measured[numbers[-1]], measured[-1][1]
    after = next(one for one, each in measured[numbers[-1] + 1 :] if each.version == last.version)
    if entry.value is not None and judge(entry, last).verdict in REGRESSIONS:
        yield Jump(result.commit, after.commit, entry.value, None)


def _point(result: AsvResult, entry: Entry) -> Point:
    value = entry.value if entry.measured else None
    return Point(result.commit, result.date_ms, value, _finite(entry.low), _finite(entry.high))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _steps(points: Sequence[Point]) -> tuple[Step, ...]:
    try:
        from asv.step_detect import detect_steps
    except ImportError as error:
        raise MissingDependencyError("asv results need asv; install perfkit[dev]") from error
    found = detect_steps([point.value for point in points], [_weight(one) for one in points])
    return tuple(Step(left, right - 1, value) for left, right, value, *_ in found)


def _weight(point: Point) -> float | None:
    """Of asv's step detection: one over the half width of the interval, None where unknown."""
    if point.low is None or point.high is None or not point.high > point.low:
        return None
    weight = 2 / (point.high - point.low)
    return weight if math.isfinite(weight) else None
