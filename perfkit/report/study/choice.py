"""How the recommended configuration was chosen: its equals, and the front of time and memory."""

from __future__ import annotations

from typing import NamedTuple

from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.report.status import agreement_text
from perfkit.report.tables import HEADERS, front_table
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.rows import Row
from perfkit.units import bytes_text, count_text, ratio_text

EQUALS_HEADERS = ("configuration", "speed-up", "agreement (distance)", "memory", "settings")


class EqualRow(NamedTuple):
    """One of the configurations that cannot be told apart.

    Attributes
    ----------
    label
        Label of the configuration.
    speedup
        Speed-up over stock.
    agreement
        Agreement class with the distance.
    peak_rss_bytes
        Peak resident memory; 0 if it was not measured.
    settings
        Number of knobs that differ from stock.
    chosen
        Whether the configuration is recommended.
    """

    label: str
    speedup: Interval | None
    agreement: str
    peak_rss_bytes: int
    settings: int
    chosen: bool


class EqualsInfo(NamedTuple):
    """Data of the table.

    Attributes
    ----------
    rows
        The recommended configuration, and those that are not surely worse.
    because
        Why the recommended configuration was preferred.
    """

    rows: tuple[EqualRow, ...]
    because: str


def equals_info(recommendation: Recommendation) -> EqualsInfo | None:
    """The recommended configuration and its equals; None if it has none."""
    best = recommendation.best
    if best is None or not recommendation.equals:
        return None
    rows = (_equal_row(row, row is best) for row in (best, *recommendation.equals))
    return EqualsInfo(tuple(rows), recommendation.chosen_because)


def choice_tables(recommendation: Recommendation) -> tuple[PlainTable, ...]:
    """The tables of equals and of the front, as far as there are any."""
    tables = []
    equals = equals_info(recommendation)
    if equals is not None:
        heading = f"Not surely worse: the first is chosen because {equals.because}"
        tables.append(PlainTable(heading, EQUALS_HEADERS, tuple(map(_cells, equals.rows))))
    if recommendation.front:
        rows = tuple(row.cells for row in front_table(recommendation))
        tables.append(PlainTable("Front of time and memory", HEADERS, rows))
    return tuple(tables)


def _equal_row(row: Row, chosen: bool) -> EqualRow:
    return EqualRow(
        row.label, row.speedup, agreement_text(row), row.peak_rss_bytes, len(row.settings), chosen
    )


def _cells(row: EqualRow) -> tuple[str, ...]:
    return (
        row.label,
        NOTHING if row.speedup is None else ratio_text(row.speedup),
        row.agreement,
        bytes_text(row.peak_rss_bytes) if row.peak_rss_bytes else NOTHING,
        count_text(row.settings, "setting"),
    )
