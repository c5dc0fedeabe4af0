"""What became of one measured quantity: the rules of every comparison, of records and of asv."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from perfkit.history.snapshot import Entry, Kind, Snapshot
from perfkit.stats.exact import unpaired_ratio
from perfkit.stats.interval import Interval

FACTOR = 1.05
"""Default size of a change that is reported: below it, interleaved rounds are needed."""

FEW_PROCESSES_FACTOR = 1.5
"""Size of a change of time that is believed where there are too few processes for an interval. Two
processes of one program were seen to differ by 20 %, for good and each within 2 %."""

ANSWER_NOISE = 2e-6
"""Relative distances closer than this are rounding in float32 (about ten units in the last place
added up); on one machine equal programs give equal distances to the last digit."""


class Verdict(enum.StrEnum):
    """What became of an entry."""

    SAME = "same"
    UNSURE = "unsure"
    """Different, but by no more than the spread of the measurements, or of too few processes."""
    BETTER = "better"
    WORSE = "worse"
    ANSWER_CHANGED = "answer changed"
    """Further from the reference, in a looser agreement class, or the guard has more to do."""
    ANSWER_CLOSER = "answer closer"
    LOST = "lost"
    """There was a number and now there is none: NaN, infinite, skipped, or not there at all."""
    FOUND = "measured again"
    FAILED = "failed"
    MENDED = "mended"
    ADDED = "added"
    GONE = "removed"
    """The old side has it and the new side did not measure its subject at all."""
    INCOMPARABLE = "not comparable"
    """The measurement itself has changed, or it is a time or memory of another kind of machine."""


REGRESSIONS = (Verdict.WORSE, Verdict.ANSWER_CHANGED, Verdict.LOST, Verdict.FAILED)
"""What makes ``perfkit compare`` end with exit code 1."""


class _State(enum.IntEnum):
    """How much an entry says, least first."""

    FAILED = 0
    NO_NUMBER = 1
    MEASURED = 2


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the ratio ``new / old`` that it rests on where there is one."""

    verdict: Verdict
    ratio: Interval | None = None


def judge(old: Entry, new: Entry, factor: float = FACTOR) -> Judgement:
    """What became of an entry that is in both snapshots.

    The other way round the verdict is the opposite one: worse and better, changed and closer,
    lost and measured again, failed and mended.

    Parameters
    ----------
    old, new
        Of one name and kind.
    factor
        Times and memory that differ by less are the same, however sure the difference is.
    """
    before, after = _state(old), _state(new)
    if before is not after:
        return Judgement(_of_states(before, after))
    if old.version != new.version:
        return Judgement(Verdict.INCOMPARABLE)
    if old.value is None or new.value is None or after is not _State.MEASURED:
        return Judgement(Verdict.SAME)
    ratio = _ratio(old, new)
    if old.kind is Kind.ANSWER:
        return Judgement(of_answers(old.value, new.value), ratio)
    if old.kind is Kind.OTHER:
        return Judgement(Verdict.SAME, ratio)
    if old.place != new.place:
        return Judgement(Verdict.INCOMPARABLE, ratio)
    if ratio is None:
        # A ratio to nothing: not equal, and by any factor.
        return Judgement(_of_order(old.value, new.value))
    return Judgement(_of_ratio(ratio, old.kind, factor), ratio)


def judge_levels(old: float, new: float, kind: Kind, factor: float = FACTOR) -> Verdict:
    """What became of a level of a series, by the rules of :func:`judge`.

    Parameters
    ----------
    old, new
        Levels that several measurements each agree on.
    kind
        What they are levels of.
    factor
        As in :func:`judge`.
    """
    if kind is Kind.ANSWER:
        return of_answers(old, new)
    if kind is Kind.OTHER:
        return Verdict.SAME
    if old <= 0 or new <= 0:
        return _of_order(old, new)
    ratio = new / old
    return _of_ratio(Interval(ratio, ratio, ratio, 2), kind, factor)


def missing_from_new(old: Entry, new: Snapshot) -> Verdict:
    """What became of an entry that the new snapshot lacks."""
    lost = old.essential and old.subject in new.answered and _state(old) is _State.MEASURED
    return Verdict.LOST if lost else Verdict.GONE


def of_answers(old: float, new: float) -> Verdict:
    """What became of a distance, an agreement class or a count of the guard, both finite."""
    if math.isclose(old, new, rel_tol=1e-3, abs_tol=ANSWER_NOISE):
        return Verdict.SAME
    return Verdict.ANSWER_CHANGED if new > old else Verdict.ANSWER_CLOSER


def _state(entry: Entry) -> _State:
    if entry.value is None:
        return _State.FAILED
    return _State.MEASURED if entry.measured else _State.NO_NUMBER


def _of_states(before: _State, after: _State) -> Verdict:
    if after < before:
        return Verdict.FAILED if after is _State.FAILED else Verdict.LOST
    return Verdict.MENDED if before is _State.FAILED else Verdict.FOUND


def _of_order(old: float, new: float) -> Verdict:
    if old == new:
        return Verdict.SAME
    return Verdict.WORSE if new > old else Verdict.BETTER


def _of_ratio(ratio: Interval, kind: Kind, factor: float) -> Verdict:
    if 1 / factor <= ratio.median <= factor:
        return Verdict.SAME
    # What a program reserves hardly varies; what it takes in time does.
    if kind is Kind.TIME:
        believed = ratio.median < 1 / FEW_PROCESSES_FACTOR or ratio.median > FEW_PROCESSES_FACTOR
        if not (ratio.excludes(1) if ratio.known else believed):
            return Verdict.UNSURE
    return Verdict.WORSE if ratio.median > 1 else Verdict.BETTER


def _ratio(old: Entry, new: Entry) -> Interval | None:
    """``new / old``; None where either is not positive."""
    assert old.value is not None
    assert new.value is not None
    if old.value <= 0 or new.value <= 0:
        return None
    if old.groups and old.groups == new.groups:
        # The same measurements; resampling both sides apart would make a spread of them.
        return Interval(1.0, 1.0, 1.0, old.count)
    # Computed in one order alone: the ratio the other way round is then exactly the inverse.
    if (new.value, new.groups) < (old.value, old.groups):
        ratio = _ratio(new, old)
        return None if ratio is None else _inverse(ratio)
    if old.count and new.count and _positive(old) and _positive(new):
        return unpaired_ratio(old.groups, new.groups)
    median = new.value / old.value
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return Interval(median, None, None, 1)
    # Of two intervals without samples the ratio may be anywhere between the extremes; of few
    # samples asv's intervals are infinite.
    low = new.low / old.high if new.low > 0 and 0 < old.high < math.inf else 0.0
    high = new.high / old.low if old.low > 0 and 0 < new.high < math.inf else math.inf
    return Interval(median, low, high, 2)


def _positive(entry: Entry) -> bool:
    return all(sample > 0 for group in entry.groups for sample in group)


def _inverse(ratio: Interval) -> Interval:
    """One over a ratio whose lower end may be 0 and whose upper end may be infinite."""
    if ratio.ends is None:
        return ratio.inverse
    low, high = ratio.ends
    return Interval(1 / ratio.median, 1 / high, math.inf if low == 0 else 1 / low, ratio.count)
