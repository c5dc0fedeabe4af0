"""Compares two snapshots: what is slower, larger, lost, or gives another answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from perfkit.history.snapshot import Entry, Kind, Snapshot
from perfkit.history.verdicts import FACTOR, REGRESSIONS, Verdict, judge, missing_from_new
from perfkit.stats.interval import Interval

_SUMMARY = (
    (Verdict.ANSWER_CHANGED, "numerical change", "numerical changes"),
    (Verdict.LOST, "lost measurement", "lost measurements"),
    (Verdict.FAILED, "new failure", "new failures"),
    (Verdict.WORSE, "regression", "regressions"),
    (Verdict.ANSWER_CLOSER, "answer closer to the reference", "answers closer to the reference"),
    (Verdict.BETTER, "improvement", "improvements"),
    (Verdict.FOUND, "measurement that was missing", "measurements that were missing"),
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
        ``new / old`` with its interval; None where there are no two positive numbers.
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
        One sentence for each thing outside perfkit that differs between the two settings.
    """

    old: Snapshot
    new: Snapshot
    rows: tuple[Row, ...]
    differences: tuple[str, ...]

    @property
    def common(self) -> list[Row]:
        """The rows that both snapshots have."""
        return [row for row in self.rows if row.old is not None and row.new is not None]

    @property
    def regressed(self) -> bool:
        """Whether anything is slower, larger, lost, failed, or gives another answer."""
        return any(row.verdict in REGRESSIONS for row in self.rows)

    def having(self, *verdicts: Verdict) -> list[Row]:
        """The rows with one of ``verdicts``."""
        return [row for row in self.rows if row.verdict in verdicts]

    def sentence(self) -> str:
        """What a person must know, numerical changes before slowdowns."""
        found = [
            f"{len(rows)} {words if len(rows) > 1 else word}"
            for verdict, word, words in _SUMMARY
            if (rows := self.having(verdict))
        ]
        sentence = ", ".join(found) or "nothing has changed beyond the measurements' spread"
        shown = sum(row.entry.kind is Kind.OTHER for row in self.common)
        if shown:
            sentence += f" ({shown} without a unit that is judged, for which only a loss counts)"
        return sentence

    def without_counterpart(self, verdict: Verdict) -> dict[str, int]:
        """What only one snapshot has, by subject (or name, without one), with its entries.

        A subject that both have is left out, whatever one of them lacks of it.

        Parameters
        ----------
        verdict
            ``ADDED`` or ``GONE``.
        """
        both = {row.entry.subject for row in self.common} - {""}
        return dict(
            Counter(
                row.entry.subject or row.name
                for row in self.having(verdict)
                if row.entry.subject not in both
            )
        )


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
    rows = [_row(name, old, new, factor) for name in names]
    rows.sort(key=lambda row: (order.index(row.entry.kind), row.name))
    return Comparison(old, new, tuple(rows), tuple(_differences(old, new)))


def _differences(old: Snapshot, new: Snapshot) -> Iterator[str]:
    for name in dict.fromkeys([*old.setting, *new.setting]):
        before, after = (one.setting.get(name, "unknown") for one in (old, new))
        if before != after:
            yield f"{name}: {before} before, {after} now"


def _row(name: str, old: Snapshot, new: Snapshot, factor: float) -> Row:
    before, after = old.entries.get(name), new.entries.get(name)
    if before is None:
        return Row(name, before, after, None, Verdict.ADDED)
    if after is None:
        return Row(name, before, after, None, missing_from_new(before, new))
    judgement = judge(before, after, factor)
    return Row(name, before, after, judgement.ratio, judgement.verdict)
