"""Series of benchmarks over commits: their levels, and the jumps that count as regressions."""

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
from perfkit.packages import missing_sentence

_JUMPS = (Verdict.WORSE, Verdict.ANSWER_CHANGED, Verdict.ANSWER_CLOSER)
"""Verdicts between two levels that make a jump. An answer counts in both directions: it may only
move if a commit is meant to move it."""


@dataclass(frozen=True)
class Point:
    """One commit of a series.

    Attributes
    ----------
    commit
        Full hash of the commit.
    date_ms
        Date of the commit, milliseconds since 1970.
    value
        Median, in the unit of the series; None if the benchmark failed or was skipped.
    low, high
        Ends of asv's 99 % interval, in the unit of the series; None if unknown.
    """

    commit: str
    date_ms: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Step:
    """A run of points on one level.

    Attributes
    ----------
    first, last
        Indices of the first and the last point, both inclusive.
    value
        Level, in the unit of the series.
    """

    first: int
    last: int
    value: float


@dataclass(frozen=True)
class Jump:
    """A change from one level to the next that counts as a regression, or the loss of all values.

    Attributes
    ----------
    before, after
        Hashes of the last commit on the old level and of the first commit on the new one.
    old, new
        Levels, in the unit of the series. ``new`` is None if the benchmark has failed, been
        skipped or been missing ever since.
    """

    before: str
    after: str
    old: float
    new: float | None


@dataclass(frozen=True)
class Series:
    """One benchmark with its parameters, on one machine and in one environment.

    Attributes
    ----------
    benchmark
        Name of the benchmark, for example ``af3.AlphaFold3Parts.time_steady``.
    parameters
        Values of its parameters, for example ``16, stock``; empty if it has none.
    machine
        Machine and environment, as asv names them.
    kind, unit
        Kind and unit of the quantity.
    points
        Points by date of the commit.
    steps
        Levels that asv's step detection finds.
    jumps
        Changes between levels that count as regressions, and the loss of the last value, if any.
    """

    benchmark: str
    parameters: str
    machine: str
    kind: Kind
    unit: str
    points: tuple[Point, ...]
    steps: tuple[Step, ...]
    jumps: tuple[Jump, ...]


def series_of_results(results: Sequence[AsvResult], factor: float = FACTOR) -> list[Series]:
    """Collect the series of every benchmark.

    Parameters
    ----------
    results
        Results by date of their commits.
    factor
        Smallest factor between levels of times or memory that counts as a jump.

    Returns
    -------
    list of Series
        The most important kind of quantity first, then by name.

    Raises
    ------
    MissingDependencyError
        asv is not installed.
    """
    measured: dict[tuple[str, str], list[tuple[AsvResult, Entry]]] = defaultdict(list)
    of_machine: dict[str, list[AsvResult]] = defaultdict(list)
    for result in results:
        machine = f"{result.machine} ({result.environment})"
        of_machine[machine].append(result)
        for entry in result.snapshot.entries.values():
            measured[entry.name, machine].append((result, entry))
    series = [
        _series(name, machine, [*pairs, *_losses(pairs[-1], of_machine[machine])], factor)
        for (name, machine), pairs in measured.items()
    ]
    order = list(Kind)
    return sorted(series, key=lambda one: (order.index(one.kind), one.benchmark))


def _losses(
    last: tuple[AsvResult, Entry], of_machine: Sequence[AsvResult]
) -> list[tuple[AsvResult, Entry]]:
    """Later results that lack the entry of ``last`` although they should have it, with NaN."""
    result, entry = last
    lost = dataclasses.replace(entry, value=math.nan, groups=(), low=None, high=None)
    return [
        (later, lost)
        for later in of_machine[of_machine.index(result) + 1 :]
        if missing_from_new(entry, later.snapshot) is Verdict.LOST
    ]


def _series(
    name: str, machine: str, measured: Sequence[tuple[AsvResult, Entry]], factor: float
) -> Series:
    last = measured[-1][1]
    # Another version of the benchmark measured something else.
    same = [(result, entry) for result, entry in measured if entry.version == last.version]
    points = tuple(_point(result, entry) for result, entry in same)
    steps = _steps(points)
    benchmark, _, parameters = name.partition("(")
    jumps = [
        Jump(points[old.last].commit, points[new.first].commit, old.value, new.value)
        for old, new in pairwise(steps)
        if judge_levels(old.value, new.value, last.kind, factor) in _JUMPS
    ]
    return Series(
        benchmark,
        parameters.removesuffix(")"),
        machine,
        last.kind,
        last.unit,
        points,
        steps,
        (*jumps, *_final_loss(measured)),
    )


def _final_loss(measured: Sequence[tuple[AsvResult, Entry]]) -> Iterator[Jump]:
    """The jump to no value, if the last entry has none and an earlier one has."""
    # A failure of an older version of the benchmark is not a point of the series.
    numbers = [index for index, (_, entry) in enumerate(measured) if entry.measured]
    if not numbers or numbers[-1] == len(measured) - 1:
        return
    (result, entry), last = measured[numbers[-1]], measured[-1][1]
    after = next(
        later
        for later, later_entry in measured[numbers[-1] + 1 :]
        if later_entry.version == last.version
    )
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
        raise MissingDependencyError(missing_sentence("reading asv results", ("asv",))) from error
    found = detect_steps([point.value for point in points], [_weight(one) for one in points])
    return tuple(Step(left, right - 1, value) for left, right, value, *_ in found)


def _weight(point: Point) -> float | None:
    """Weight in asv's step detection: 1 / half width of the interval, None if unknown."""
    if point.low is None or point.high is None or not point.high > point.low:
        return None
    weight = 2 / (point.high - point.low)
    return weight if math.isfinite(weight) else None
