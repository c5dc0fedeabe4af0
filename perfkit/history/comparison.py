"""Compare two snapshots: quantities that are slower, larger, lost or changed."""

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
    (Verdict.FOUND, "measurement found again", "measurements found again"),
    (Verdict.FIXED, "fixed failure", "fixed failures"),
    (Verdict.INCOMPARABLE, "entry that is not comparable", "entries that are not comparable"),
)


@dataclass(frozen=True)
class Row:
    """One entry of either snapshot, with its verdict.

    Attributes
    ----------
    name
        Name of the entry.
    old, new
        The entry in each snapshot; None in a snapshot that lacks it.
    ratio
        ``new / old`` with its interval; None if there are not two positive numbers.
    verdict
        Result of the comparison.
    """

    name: str
    old: Entry | None
    new: Entry | None
    ratio: Interval | None
    verdict: Verdict

    @property
    def entry(self) -> Entry:
        """The new entry, or the old one if the new snapshot lacks it."""
        entry = self.new or self.old
        assert entry is not None
        return entry


@dataclass(frozen=True)
class Comparison:
    """Two snapshots compared entry by entry.

    Attributes
    ----------
    old, new
        The snapshots.
    rows
        One row per entry, by kind (answers first), then by name.
    differences
        One phrase per item of metadata that differs, for example another version of jaxlib.
    """

    old: Snapshot
    new: Snapshot
    rows: tuple[Row, ...]
    differences: tuple[str, ...]

    @property
    def common(self) -> list[Row]:
        """Rows of entries that both snapshots have."""
        return [row for row in self.rows if row.old is not None and row.new is not None]

    @property
    def regressed(self) -> bool:
        """Whether any entry is slower, larger, lost, failed, or a changed answer."""
        return any(row.verdict in REGRESSIONS for row in self.rows)

    def having(self, *verdicts: Verdict) -> list[Row]:
        """Rows with one of ``verdicts``."""
        return [row for row in self.rows if row.verdict in verdicts]

    def sentence(self) -> str:
        """Summary in one sentence, numerical changes before slowdowns."""
        found = [
            f"{len(rows)} {words if len(rows) > 1 else word}"
            for verdict, word, words in _SUMMARY
            if (rows := self.having(verdict))
        ]
        sentence = ", ".join(found) or "nothing has changed beyond the spread of the measurements"
        not_judged = sum(row.entry.kind is Kind.OTHER for row in self.common)
        if not_judged:
            sentence += f" ({not_judged} with a unit that is not judged: only a loss counts)"
        return sentence

    def without_counterpart(self, verdict: Verdict) -> dict[str, int]:
        """Subjects that only one snapshot measured.

        Parameters
        ----------
        verdict
            ``ADDED`` for subjects of the new snapshot alone, ``GONE`` for those of the old one.

        Returns
        -------
        dict of str to int
            Number of entries by subject; an entry without a subject goes by its name. Subjects
            that both snapshots measured are left out, even if one of them lacks some entries.
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
    """Compare every entry of two snapshots.

    Parameters
    ----------
    old, new
        The snapshots; ``new`` is judged against ``old``.
    factor
        Times and memory that differ by a smaller factor are the same, even if the difference is
        significant.
    """
    order = list(Kind)
    names = dict.fromkeys([*old.entries, *new.entries])
    rows = [_row(name, old, new, factor) for name in names]
    rows.sort(key=lambda row: (order.index(row.entry.kind), row.name))
    return Comparison(old, new, tuple(rows), tuple(_differences(old, new)))


def _differences(old: Snapshot, new: Snapshot) -> Iterator[str]:
    for name in dict.fromkeys([*old.metadata, *new.metadata]):
        before, after = (one.metadata.get(name, "unknown") for one in (old, new))
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
