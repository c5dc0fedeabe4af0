"""Holds one snapshot against another: what is slower, larger, or gives another answer."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass

from perfkit.history.snapshot import Entry, Kind, Snapshot
from perfkit.stats.exact import unpaired_ratio
from perfkit.stats.interval import Interval

FACTOR = 1.05
"""Default size of a change that is reported: below it, interleaved rounds are needed."""

SINGLE_FACTOR = 1.5
"""Size of a change that is believed of one measurement a side, which says nothing of its spread."""

ANSWER_NOISE = 2e-6
"""Relative distances closer than this are rounding in float32 (about ten units in the last place
added up); on one machine equal programs give equal distances to the last digit."""


class Verdict(enum.StrEnum):
    """What became of an entry."""

    SAME = "same"
    UNSURE = "unsure"
    """Different, but by no more than the spread of the measurements."""
    BETTER = "better"
    WORSE = "worse"
    ANSWER_CHANGED = "answer changed"
    """Further from the reference, or the guard has more to do."""
    ANSWER_CLOSER = "answer closer"
    FAILED = "failed"
    MENDED = "mended"
    ADDED = "added"
    GONE = "gone"
    INCOMPARABLE = "not comparable"
    """The measurement itself has changed."""


REGRESSIONS = (Verdict.WORSE, Verdict.ANSWER_CHANGED, Verdict.FAILED)
"""What makes ``perfkit compare`` end with exit code 1."""


_SUMMARY = (
    (Verdict.ANSWER_CHANGED, "numerical change", "numerical changes"),
    (Verdict.FAILED, "new failure", "new failures"),
    (Verdict.WORSE, "regression", "regressions"),
    (Verdict.ANSWER_CLOSER, "answer closer to the reference", "answers closer to the reference"),
    (Verdict.BETTER, "improvement", "improvements"),
    (Verdict.MENDED, "mended failure", "mended failures"),
    (Verdict.INCOMPARABLE, "entry that is not comparable", "entries that are not comparable"),
)


@dataclass(frozen=True)
class Row:
    """One entry in both snapshots.

    Attributes
    ----------
    name
        Of the entry.
    old, new
        None where a snapshot lacks it.
    ratio
        ``new / old`` with its interval; None where there are no two numbers or the old is 0.
    verdict
        What became of it.
    """

    name: str
    old: Entry | None
    new: Entry | None
    ratio: Interval | None
    verdict: Verdict

    @property
    def entry(self) -> Entry:
        """The newer of the two that there is."""
        entry = self.new or self.old
        assert entry is not None
        return entry


@dataclass(frozen=True)
class Comparison:
    """Two snapshots, entry by entry.

    Attributes
    ----------
    old, new
        What is compared.
    rows
        By kind, the answers first, then by name.
    differences
        One sentence for each thing beside perfkit that differs between the two settings.
    """

    old: Snapshot
    new: Snapshot
    rows: tuple[Row, ...]
    differences: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Whether anything is slower, larger, failed, or gives another answer."""
        return any(row.verdict in REGRESSIONS for row in self.rows)

    def having(self, *verdicts: Verdict) -> list[Row]:
        """The rows with one of ``verdicts``."""
        return [row for row in self.rows if row.verdict in verdicts]

    def sentence(self) -> str:
        """What a person must know, numerical changes before slowdowns."""
        told = [
            f"{len(rows)} {words if len(rows) > 1 else word}"
            for verdict, word, words in _SUMMARY
            if (rows := self.having(verdict))
        ]
        return ", ".join(told) if told else "nothing has changed beyond the measurements' spread"


def compare_snapshots(old: Snapshot, new: Snapshot, factor: float = FACTOR) -> Comparison:
    """Every entry of either snapshot, judged.

    Parameters
    ----------
    old, new
        What was, and what is.
    factor
        Times and memory that differ by less are the same, however sure the difference is.
    """
    order = list(Kind)
    names = dict.fromkeys([*old.entries, *new.entries])
    rows = [_row(name, old.entries.get(name), new.entries.get(name), factor) for name in names]
    rows.sort(key=lambda row: (order.index(row.entry.kind), row.name))
    return Comparison(old, new, tuple(rows), tuple(_differences(old, new)))


def _differences(old: Snapshot, new: Snapshot) -> Iterator[str]:
    for name in dict.fromkeys([*old.setting, *new.setting]):
        before, after = (one.setting.get(name, "unknown") for one in (old, new))
        if before != after:
            yield f"{name}: {before} before, {after} now"


def _row(name: str, old: Entry | None, new: Entry | None, factor: float) -> Row:
    if old is None or new is None:
        return Row(name, old, new, None, Verdict.ADDED if old is None else Verdict.GONE)
    if old.version != new.version:
        return Row(name, old, new, None, Verdict.INCOMPARABLE)
    if old.value is None or new.value is None:
        return Row(name, old, new, None, _of_failures(old, new))
    if not (old.measured and new.measured):
        return Row(name, old, new, None, Verdict.SAME)
    ratio = _ratio(old, new)
    if old.kind is Kind.ANSWER:
        return Row(name, old, new, ratio, _of_answers(old.value, new.value))
    if old.kind is Kind.OTHER or ratio is None:
        return Row(name, old, new, ratio, Verdict.SAME)
    return Row(name, old, new, ratio, _of_ratio(ratio, old.kind, factor))


def _of_failures(old: Entry, new: Entry) -> Verdict:
    if old.value is None and new.value is None:
        return Verdict.SAME
    return Verdict.MENDED if old.value is None else Verdict.FAILED


def _of_answers(old: float, new: float) -> Verdict:
    if math.isclose(old, new, rel_tol=1e-3, abs_tol=ANSWER_NOISE):
        return Verdict.SAME
    return Verdict.ANSWER_CHANGED if new > old else Verdict.ANSWER_CLOSER


def _of_ratio(ratio: Interval, kind: Kind, factor: float) -> Verdict:
    if 1 / factor <= ratio.median <= factor:
        return Verdict.SAME
    # What a program reserves hardly varies; what it takes in time does.
    if kind is Kind.TIME:
        if ratio.count < 2:
            factor = max(factor, SINGLE_FACTOR)
        if not ratio.excludes(1) or 1 / factor <= ratio.median <= factor:
            return Verdict.UNSURE
    return Verdict.WORSE if ratio.median > 1 else Verdict.BETTER


def _ratio(old: Entry, new: Entry) -> Interval | None:
    if not old.value or new.value is None:
        return None
    if old.count and new.count:
        return unpaired_ratio(old.groups, new.groups)
    median = new.value / old.value
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return Interval(median, median, median, 1)
    # Of two intervals without samples the ratio may be anywhere between the extremes; of few
    # samples asv's intervals are infinite.
    high = new.high / old.low if old.low > 0 else math.inf
    return Interval(median, max(0.0, new.low / old.high), high, 2)
