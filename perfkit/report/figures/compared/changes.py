"""New over old of every time and memory that two snapshots have in common."""

from __future__ import annotations

import math
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.history.comparison import Comparison
from perfkit.history.snapshot import Kind
from perfkit.history.verdicts import REGRESSIONS, Verdict
from perfkit.report.figures.ratio_rows import Dot, Note, add_dots, finish_rows
from perfkit.report.style import BLUE, GREY, VERMILION, Mark, wrapped
from perfkit.stats.interval import Interval
from perfkit.units import ratio_text

MOST_ROWS = 30
"""Most rows of the figure."""

SHOWN_KINDS = (Kind.TIME, Kind.MEMORY)

WORSE = Mark(VERMILION, "x")
BETTER = Mark(BLUE, "star")
OTHER = Mark(GREY, "circle-open")


class ChangeRow(NamedTuple):
    """One quantity.

    Attributes
    ----------
    name
        Name of the quantity.
    ratio
        New over old, without ends that are not finite.
    verdict
        Result of the comparison.
    """

    name: str
    ratio: Interval
    verdict: Verdict


class ChangesInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        Regressions first, then improvements, then the rest; each by the size of the change.
    left_out
        Number of further quantities.
    """

    rows: tuple[ChangeRow, ...]
    left_out: int


def changes_info(comparison: Comparison, most: int = MOST_ROWS) -> ChangesInfo | None:
    """The ratios of times and memory; None if there is none.

    Parameters
    ----------
    comparison
        Two snapshots, compared.
    most
        Most rows.
    """
    rows = [
        ChangeRow(row.name, _finite(row.ratio), row.verdict)
        for row in comparison.rows
        if row.ratio is not None and row.entry.kind in SHOWN_KINDS
    ]
    rows.sort(key=lambda row: (_rank(row.verdict), -abs(math.log(row.ratio.median)), row.name))
    return ChangesInfo(tuple(rows[:most]), max(0, len(rows) - most)) if rows else None


def changes_figure(info: ChangesInfo) -> go.Figure:
    """One dot with its interval per quantity."""
    figure = go.Figure()
    for mark in (WORSE, BETTER, OTHER):
        dots = [
            Dot(
                position,
                row.ratio,
                f"{wrapped(row.name)}<br>{ratio_text(row.ratio)}<br>{row.verdict}",
            )
            for position, row in enumerate(info.rows)
            if mark_of(row.verdict) is mark
        ]
        add_dots(figure, mark, dots)
    finish_rows(
        figure,
        [wrapped(row.name) for row in info.rows],
        [
            Note(f"<b>{ratio_text(row.ratio)}</b> {row.verdict}", mark_of(row.verdict).colour)
            for row in info.rows
        ],
        [row.ratio for row in info.rows],
        "new over old: right of 1 is slower or larger",
    )
    return figure


def mark_of(verdict: Verdict) -> Mark:
    """Colour and symbol of a verdict."""
    return (WORSE, BETTER, OTHER)[_rank(verdict)]


def _rank(verdict: Verdict) -> int:
    if verdict in REGRESSIONS:
        return 0
    return 1 if verdict is Verdict.BETTER else 2


def _finite(ratio: Interval) -> Interval:
    """The ratio; without its interval if that reaches to 0 or to infinity."""
    ends = ratio.ends
    if ends is None or (ends[0] > 0 and math.isfinite(ends[1])):
        return ratio
    return Interval(ratio.median, None, None, ratio.count)
