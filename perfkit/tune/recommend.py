"""From records to a recommendation. Pure: reads, runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.roles import OTHER_FIDELITY
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import sequential_ratio
from perfkit.tune.rows import Row, rows_of
from perfkit.tune.search.evidence import Evidence

SAME_MEMORY = 1.05
"""Peaks of memory within this factor count as equal: two runs of one program differ by as much."""


@dataclass(frozen=True)
class Recommendation:
    """The best configuration of a study and all that it was chosen from.

    Parameters
    ----------
    rows
        One for each configuration, fastest first, those without a time last.
    stock, best
        Rows of the stock configuration and of the recommended one; ``best`` is stock's own row
        where nothing is surely faster, and None where not even stock ran.
    sentence
        What was won and how sure that is.
    """

    rows: tuple[Row, ...]
    stock: Row | None
    best: Row | None
    sentence: str


def measured_at_own_fidelity(records: Sequence[Record]) -> list[Record]:
    """The records that configurations are compared on: those of parts and longer runs left out."""
    return [record for record in records if record.role not in OTHER_FIDELITY]


def recommend(records: Sequence[Record]) -> Recommendation:
    """The recommendation that a study's records support.

    Only what was confirmed against stock in fresh processes, and is surely faster there, is
    recommended.

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
    """The best of the eligible rows that are surely faster than stock, else stock where it ran.

    Among those that cannot be distinguished from the fastest in time, the one with the stricter
    agreement class counts, then the smaller memory, then the fewest settings.
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
    """Whether a confirmed row is surely slower than the fastest, by common blocks if there are."""
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
    """Why stock is what is recommended: nothing tried, nothing faster, or nothing confirmed."""
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
