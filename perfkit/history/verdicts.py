"""Rules that turn an old and a new value of one quantity into a verdict."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from perfkit.history.snapshot import Entry, Kind, Snapshot
from perfkit.stats.exact import unpaired_ratio
from perfkit.stats.interval import Interval

FACTOR = 1.05
"""Smallest change that is reported by default. Smaller changes need interleaved rounds."""

FEW_PROCESSES_FACTOR = 1.5
"""Smallest change of a time that is believed if there are too few processes for an interval. Two
processes of one program have been seen to differ by 20 % throughout, each steady within 2 %."""

ANSWER_NOISE = 2e-6
"""Relative distances that differ by less are float32 rounding: about ten units in the last place,
added up. On one machine, equal programs give equal distances to the last digit."""


class Verdict(enum.StrEnum):
    """Result of comparing an entry in two snapshots; the value is the text shown to users."""

    SAME = "same"
    UNSURE = "unsure"
    """The values differ, but within the spread of the measurements, or of too few processes."""
    BETTER = "better"
    WORSE = "worse"
    ANSWER_CHANGED = "answer changed"
    """The output is further from the reference, in a looser agreement class, or guarded more."""
    ANSWER_CLOSER = "answer closer"
    LOST = "lost"
    """The old snapshot has a number and the new one does not: NaN, infinite, skipped or missing."""
    FOUND = "measured again"
    FAILED = "failed"
    FIXED = "fixed"
    ADDED = "added"
    GONE = "removed"
    """Only the old snapshot has the entry, and the new one did not measure its subject."""
    INCOMPARABLE = "not comparable"
    """The measurement itself has changed, or times or memory come from different hardware."""


REGRESSIONS = (Verdict.WORSE, Verdict.ANSWER_CHANGED, Verdict.LOST, Verdict.FAILED)
"""Verdicts that make ``perfkit compare`` end with exit code 1."""

QUIET = (Verdict.SAME, Verdict.ADDED, Verdict.GONE)
"""Verdicts that are only shown on request."""


class _State(enum.IntEnum):
    """How far a measurement got, worst first."""

    FAILED = 0
    NO_NUMBER = 1
    MEASURED = 2


@dataclass(frozen=True)
class Judgement:
    """A verdict and the ratio behind it.

    Attributes
    ----------
    verdict
        The verdict.
    ratio
        ``new / old``; None if there are not two positive numbers.
    """

    verdict: Verdict
    ratio: Interval | None = None


def judge(old: Entry, new: Entry, factor: float = FACTOR) -> Judgement:
    """Judge an entry that both snapshots have.

    Swapping the arguments gives the opposite verdict: worse and better, changed and closer, lost
    and measured again, failed and fixed.

    Parameters
    ----------
    old, new
        Entries of the same name and kind.
    factor
        Times and memory that differ by a smaller factor are the same, even if the difference is
        significant.
    """
    before, after = _state(old), _state(new)
    if before is not after:
        return Judgement(_verdict_of_states(before, after))
    if old.version != new.version:
        return Judgement(Verdict.INCOMPARABLE)
    if old.value is None or new.value is None or after is not _State.MEASURED:
        return Judgement(Verdict.SAME)
    ratio = _ratio(old, new)
    if old.kind is Kind.ANSWER:
        return Judgement(judge_answers(old.value, new.value), ratio)
    if old.kind is Kind.OTHER:
        return Judgement(Verdict.SAME, ratio)
    if old.hardware != new.hardware:
        return Judgement(Verdict.INCOMPARABLE, ratio)
    if ratio is None:
        # One side is zero or negative: they differ by any factor unless they are equal.
        return Judgement(_verdict_of_order(old.value, new.value))
    return Judgement(_verdict_of_ratio(ratio, old.kind, factor), ratio)


def judge_levels(old: float, new: float, kind: Kind, factor: float = FACTOR) -> Verdict:
    """Judge two levels of a series by the rules of :func:`judge`.

    Parameters
    ----------
    old, new
        Levels, in the unit of the series; each is the level of several measurements.
    kind
        Kind of quantity.
    factor
        Smallest factor between times or memory that counts as a change.
    """
    if kind is Kind.ANSWER:
        return judge_answers(old, new)
    if kind is Kind.OTHER:
        return Verdict.SAME
    if old <= 0 or new <= 0:
        return _verdict_of_order(old, new)
    ratio = new / old
    return _verdict_of_ratio(Interval(ratio, ratio, ratio, 2), kind, factor)


def missing_from_new(old: Entry, new: Snapshot) -> Verdict:
    """Judge an entry that the new snapshot lacks: lost or removed."""
    lost = old.required and old.subject in new.completed and _state(old) is _State.MEASURED
    return Verdict.LOST if lost else Verdict.GONE


def judge_answers(old: float, new: float) -> Verdict:
    """Judge two finite distances, agreement classes or counts of guard events."""
    if math.isclose(old, new, rel_tol=1e-3, abs_tol=ANSWER_NOISE):
        return Verdict.SAME
    return Verdict.ANSWER_CHANGED if new > old else Verdict.ANSWER_CLOSER


def _state(entry: Entry) -> _State:
    if entry.value is None:
        return _State.FAILED
    return _State.MEASURED if entry.measured else _State.NO_NUMBER


def _verdict_of_states(before: _State, after: _State) -> Verdict:
    if after < before:
        return Verdict.FAILED if after is _State.FAILED else Verdict.LOST
    return Verdict.FIXED if before is _State.FAILED else Verdict.FOUND


def _verdict_of_order(old: float, new: float) -> Verdict:
    if old == new:
        return Verdict.SAME
    return Verdict.WORSE if new > old else Verdict.BETTER


def _verdict_of_ratio(ratio: Interval, kind: Kind, factor: float) -> Verdict:
    if 1 / factor <= ratio.median <= factor:
        return Verdict.SAME
    # Memory hardly varies from run to run. Times do.
    if kind is Kind.TIME:
        believed = ratio.median < 1 / FEW_PROCESSES_FACTOR or ratio.median > FEW_PROCESSES_FACTOR
        if not (ratio.excludes(1) if ratio.known else believed):
            return Verdict.UNSURE
    return Verdict.WORSE if ratio.median > 1 else Verdict.BETTER


def _ratio(old: Entry, new: Entry) -> Interval | None:
    """``new / old``; None if either is not positive."""
    assert old.value is not None
    assert new.value is not None
    if old.value <= 0 or new.value <= 0:
        return None
    if old.groups and old.groups == new.groups:
        # Both sides are the same measurements, so the ratio is exact.
        return Interval(1.0, 1.0, 1.0, old.count)
    # One order of the two sides is computed and the other is inverted, so that swapping the sides
    # gives exactly the inverse.
    if (new.value, new.groups) < (old.value, old.groups):
        ratio = _ratio(new, old)
        return None if ratio is None else _inverse(ratio)
    if old.count and new.count and _positive(old) and _positive(new):
        return unpaired_ratio(old.groups, new.groups)
    median = new.value / old.value
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return Interval(median, None, None, 1)
    # Two intervals without samples bound the ratio only by their extremes. asv's intervals are
    # infinite if there are few samples.
    low = new.low / old.high if new.low > 0 and 0 < old.high < math.inf else 0.0
    high = new.high / old.low if old.low > 0 and 0 < new.high < math.inf else math.inf
    return Interval(median, low, high, 2)


def _positive(entry: Entry) -> bool:
    return all(sample > 0 for group in entry.groups for sample in group)


def _inverse(ratio: Interval) -> Interval:
    """The inverse of a ratio whose lower end may be 0 and whose upper end may be infinite."""
    if ratio.ends is None:
        return ratio.inverse
    low, high = ratio.ends
    return Interval(1 / ratio.median, 1 / high, math.inf if low == 0 else 1 / low, ratio.count)
