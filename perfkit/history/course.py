"""How each benchmark went over the commits: series, their steps, and what is a regression."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from perfkit.errors import MissingDependencyError
from perfkit.history.asv_results import AsvResult
from perfkit.history.comparison import ANSWER_NOISE, FACTOR
from perfkit.history.snapshot import Entry, Kind


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
    """A rise from one step to the next.

    Attributes
    ----------
    before, after
        Commits between which it came: the last of the old level and the first of the new.
    old, new
        The two levels.
    """

    before: str
    after: str
    old: float
    new: float


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
        The rises among them that count.
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
    for result in results:
        for entry in result.snapshot.entries.values():
            found[entry.name, f"{result.machine} ({result.environment})"].append((result, entry))
    series = [_series(name, place, kept, factor) for (name, place), kept in found.items()]
    order = list(Kind)
    return sorted(series, key=lambda one: (order.index(one.kind), one.benchmark))


def _series(
    name: str, place: str, measured: Sequence[tuple[AsvResult, Entry]], factor: float
) -> Series:
    last = measured[-1][1]
    # Points of another version of the benchmark measured something else.
    same = [(result, entry) for result, entry in measured if entry.version == last.version]
    points = tuple(_point(result, entry) for result, entry in same)
    steps = _steps(points)
    benchmark, _, parameters = name.partition("(")
    return Series(
        benchmark,
        parameters.removesuffix(")"),
        place,
        last.kind,
        last.unit,
        points,
        steps,
        tuple(
            Jump(points[old.last].commit, points[new.first].commit, old.value, new.value)
            for old, new in pairwise(steps)
            if _counts(old.value, new.value, last.kind, factor)
        ),
    )


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
    weights = [
        2 / (point.high - point.low)
        if point.low is not None and point.high is not None and point.high > point.low
        else None
        for point in points
    ]
    found = detect_steps([point.value for point in points], weights)
    return tuple(Step(left, right - 1, value) for left, right, value, *_ in found)


def _counts(old: float, new: float, kind: Kind, factor: float) -> bool:
    if kind is Kind.ANSWER:
        return not math.isclose(old, new, rel_tol=1e-3, abs_tol=ANSWER_NOISE)
    return kind is not Kind.OTHER and new > old * factor
