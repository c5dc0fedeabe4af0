"""Recommend a configuration from records. Pure: runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.roles import OTHER_FIDELITY
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import sequential_ratio
from perfkit.tuning.rows import Row, rows_of
from perfkit.tuning.search.evidence import Evidence

SAME_MEMORY = 1.05
"""Memory peaks within this factor count as equal: two runs of one program differ by as much."""


@dataclass(frozen=True)
class Recommendation:
    """The recommended configuration of a study and all configurations that it was chosen from.

    Attributes
    ----------
    rows
        One row per configuration, fastest first, those without a time last.
    stock
        Row of the stock configuration, or None where stock was not measured.
    best
        Row of the recommended configuration. It is the row of stock where no configuration is
        surely faster, and None where stock did not run.
    sentence
        The gain and its uncertainty, for a reader.
    """

    rows: tuple[Row, ...]
    stock: Row | None
    best: Row | None
    sentence: str


def measured_at_own_fidelity(records: Sequence[Record]) -> list[Record]:
    """The records at the fidelity of the study: those of parts and of longer runs are left out."""
    return [record for record in records if record.role not in OTHER_FIDELITY]


def recommend(records: Sequence[Record]) -> Recommendation:
    """The recommendation that the records of a study support.

    A configuration is recommended only if fresh processes confirmed that it is surely faster than
    stock.

    Parameters
    ----------
    records
        Records of one study and one workload, see :func:`measured_at_own_fidelity`.
    """
    evidence = Evidence.of_records(records)
    rows = tuple(rows_of(records, evidence))
    stock = next((row for row in rows if row.label == STOCK_LABEL), None)
    best = _best(rows, stock, evidence)
    return Recommendation(rows, stock, best, _sentence(rows, stock, best))


def _best(rows: Sequence[Row], stock: Row | None, evidence: Evidence) -> Row | None:
    """The best eligible row that is surely faster than stock, or else stock if it ran.

    Among rows that cannot be distinguished from the fastest in time, the stricter agreement class
    wins, then the smaller memory, then the fewer settings.
    """
    if stock is None:
        return None
    faster = [
        row
        for row in rows
        if row.eligible
        and row is not stock
        and row.speedup is not None
        and row.speedup.surely_above(1.0)
    ]
    if not faster:
        return stock if stock.outcome is Outcome.OK else None
    fastest = max(faster, key=_gain)
    equals = [row for row in faster if row is fastest or not _slower(row, fastest, evidence)]
    least_bytes = min(row.peak_rss_bytes for row in equals)

    def order(row: Row) -> tuple[int, bool, int, float]:
        strictness = AGREEMENT_NAMES.index(row.agreement or "none")
        larger = row.peak_rss_bytes > SAME_MEMORY * least_bytes
        return strictness, larger, len(row.settings), -_gain(row)

    return min(equals, key=order)


def _slower(row: Row, fastest: Row, evidence: Evidence) -> bool:
    """Whether a confirmed row is surely slower than the fastest, by common blocks if possible."""
    logarithms = evidence.confirmed(row.digest, fastest.digest)
    if logarithms and (ratio := sequential_ratio(logarithms)).known:
        return ratio.surely_above(1.0)
    mine = None if row.speedup is None else row.speedup.high
    other = None if fastest.speedup is None else fastest.speedup.low
    return mine is not None and other is not None and mine < other


def _gain(row: Row) -> float:
    return row.speedup.median if row.speedup is not None else 0.0


def _sentence(rows: Sequence[Row], stock: Row | None, best: Row | None) -> str:
    if stock is None:
        return "Stock was not measured, so nothing can be recommended."
    if best is None:
        reason = f" ({stock.reason})" if stock.reason else ""
        return f"Nothing can be recommended: stock ended {stock.outcome}{reason}."
    if best is stock or best.speedup is None or best.speedup.ends is None:
        return _staying(rows, stock)
    low, high = best.speedup.ends
    return (
        f"{best.speedup.median:.2f} times as fast as stock "
        f"(95 % interval {low:.2f} to {high:.2f}, {best.blocks} pairs of fresh processes), "
        f"agreement class {best.agreement}."
    )


def _staying(rows: Sequence[Row], stock: Row) -> str:
    """Why stock is recommended: nothing was tried, was faster, or was confirmed."""
    measured = [row for row in rows if row is not stock and row.speedup is not None]
    if not measured:
        return "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    leading = max((row for row in measured if row.eligible), key=_gain, default=None)
    count = f"{len(measured)} configuration{'s' if len(measured) != 1 else ''}"
    if leading is None or _gain(leading) <= 1.0:
        return f"Stay with stock: of {count} tried, none was faster at an equal answer."
    pairs = "1 pair" if leading.blocks == 1 else f"{leading.blocks} pairs"
    where = f"{pairs} of fresh processes" if leading.blocks else "screening"
    return (
        f"Stay with stock: of {count} tried, none was surely faster ({leading.label} looked "
        f"{_gain(leading):.2f} times as fast in {where}, which is not sure)."
    )
